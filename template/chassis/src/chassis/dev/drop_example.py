"""Removes the example modules, in the development database too: `uv run just drop-example`."""

import ast
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import to_tuple

from chassis.data.migration import configuration
from chassis.dev import environment, messages, postgres, update
from chassis.dev.project import project_folder, service

MODULES = ("announcements", "notifications", "orders", "payments")
OWNERS = tuple(name for name in MODULES if name in service().migrations)
GOES = (
    "src/{package}/modules/{name}",
    "tests/modules/{name}",
    "tests/test_end_to_end.py",
)
ANSWER = ("--vcs-ref=:current:", "--data=example=false")
REMADE = "The example's tables are gone from the development database; `uv run just migrate` makes them again, empty."
DEPLOYED = """\
A deployed database keeps the example's tables, and the next release's `migrate` refuses it until they are gone.
Take them down with the image that runs there now, before it is replaced:

    {commands}
"""


def main() -> None:
    """Check, downgrade, update: in this order, since the migrations go with the modules."""
    try:
        update.require_clean_tree()
        _require_no_use()
        update.source()
        with environment.prepare() as url:
            environment.require_local(url)
            update.copier([*ANSWER, "--pretend"])
            for name in OWNERS:
                service().main(["migrate", "--downgrade", f"{name}@base"])
            outcome = _update()
    except (postgres.PostgresError, update.UpdateError) as error:
        print(f"drop-example: {error}", file=sys.stderr)
        sys.exit(2)
    print(outcome.account)
    print(
        DEPLOYED.format(commands="\n    ".join(f"{service().name} migrate --downgrade {name}@base" for name in OWNERS))
    )
    _remove_caches()
    messages.forget(MODULES)
    update.describe_anew()
    sys.exit(0 if outcome.finished else 1)


def _update() -> update.Outcome:
    try:
        return update.update(ANSWER)
    except update.UpdateError as error:
        raise update.UpdateError(f"{error}\n{REMADE}") from error


def _example() -> Iterator[Path]:
    """Name the folders and files that go, those of the modules and those of their tests and seeds."""
    for name in MODULES:
        for pattern in GOES:
            yield project_folder() / pattern.format(package=service().import_name, name=name)


def _require_no_use() -> None:
    """Raise UpdateError when something that stays needs what goes."""
    goes = set(_example())
    sources = [path for folder in ("src", "tests") for path in (project_folder() / folder).rglob("*.py")]
    stays = [path for path in sources if goes.isdisjoint([path, *path.parents])]
    names = {_dotted(path) for path in goes}
    users = [path for path in stays if any(_begins(name, names) for name in _imports(path))] or _dependents()
    if users:
        listed = "\n".join(str(path.relative_to(project_folder())) for path in users)
        raise update.UpdateError(f"these need the example's modules, so change or remove them first:\n{listed}")


def _dotted(path: Path) -> str:
    """Give the name by which a file or folder of the project is imported."""
    parts = path.relative_to(project_folder()).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "src" else parts)


def _begins(name: str, with_names: set[str]) -> bool:
    return any(name == start or name.startswith(f"{start}.") for start in with_names)


def _imports(path: Path) -> Iterator[str]:
    """Give the dotted names that a file imports; of `from a import b` both readings, and relative ones in full."""
    package = _dotted(path).split(".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join([*package[: -node.level], node.module or ""] if node.level else [node.module or ""])
            yield from (f"{start.rstrip('.')}.{alias.name}" for alias in node.names)


def _dependents() -> list[Path]:
    """Find the revisions of others that depend on one of the example's: taking it down would take theirs down too."""
    owners = service().migrations
    script = ScriptDirectory.from_config(configuration(owners))
    goes = {name: owners[name] for name in OWNERS if name in owners}
    revisions = list(script.walk_revisions())
    going = {revision.revision for revision in revisions if Path(revision.path).parent in goes.values()}
    staying = [revision for revision in revisions if revision.revision not in going]
    return [Path(revision.path) for revision in staying if going.intersection(to_tuple(revision.dependencies, ()))]


def _remove_caches() -> None:
    """Remove what git does not see: folders in which Python's caches are all that is left; name those with more."""
    for folder in (path for path in _example() if path.is_dir()):
        left = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        if left:
            print(f"Yours, and still there: {', '.join(str(path.relative_to(project_folder())) for path in left)}")
        else:
            shutil.rmtree(folder)
