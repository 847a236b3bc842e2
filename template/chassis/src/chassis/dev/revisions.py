"""Makes a migration, the next revision of one owner in its folder, and renumbers those that met others."""

import importlib
import re
from collections.abc import Iterable
from pathlib import Path

from alembic import command

from chassis.data import revisions_in
from chassis.data.migration import configuration
from chassis.dev.project import service
from chassis.settings import StartError

USAGE = 'uv run just migration OWNER "what it does"'
USAGE_OF_RENUMBER = "uv run just renumber OWNER FILE, or several in their order"
RENUMBERED = """\
{old} is {new}, after {before}.
A development database that has it under its old number needs `uv run just reset`.\
"""
LONGEST_REVISION = 32  # Alembic's column


class RevisionError(StartError):
    """The revision cannot be made; the message says what to type."""


def add(arguments: list[str]) -> None:
    """Write the revision that follows the newest of `OWNER`, or both if there are two. Raises RevisionError."""
    match arguments:
        case [owner, text]:
            pass
        case _:
            raise RevisionError(USAGE)
    owners = _owners()
    folder = _folder(owners, owner)
    folder.mkdir(exist_ok=True)
    config = configuration(owners)
    present = [revision for revision, _ in revisions_in(folder)]
    head, label = (f"{owner}@heads", None) if present else ("base", owner)
    command.revision(config, text, rev_id=_next(owner, present), version_path=folder, head=head, branch_label=label)


def renumber(arguments: list[str]) -> None:
    """Let revisions of `OWNER` follow its newest, in the order in which they are named. Raises RevisionError."""
    match arguments:
        case [owner, _, *_]:
            pass
        case _:
            raise RevisionError(USAGE_OF_RENUMBER)
    folder = _folder(_owners(), owner)
    present = {path.name: revision for revision, path in revisions_in(folder)}
    names = [Path(name).name for name in arguments[1:]]
    if missing := [name for name in names if name not in present]:
        raise RevisionError(f"no revision of {owner} is in {', '.join(missing)}: there are {', '.join(present)}")
    stay = [revision for name, revision in present.items() if name not in names]
    if not stay:
        raise RevisionError("no other revision is left that these could follow: name fewer")
    for name in names:
        revision, before = _next(owner, stay), max(stay, key=_number)
        stay.append(revision)
        text = (folder / name).read_text(encoding="utf-8")
        for field, value in (
            ("revision", f'"{revision}"'),
            ("down_revision", f'"{before}"'),
            ("branch_labels", "None"),
        ):
            text = re.sub(rf"^{field}\b.*$", f"{field} = {value}", text, count=1, flags=re.MULTILINE)
        new = folder / (revision + name.removeprefix(present[name]))
        (folder / name).rename(new)
        new.write_text(text, encoding="utf-8")
        print(RENUMBERED.format(old=name, new=new.name, before=before))


def _next(owner: str, present: Iterable[str]) -> str:
    """Name the revision after those that are there, of which the first may have been squashed."""
    revision = f"{owner}_{max(map(_number, present), default=0) + 1:04}"
    if len(revision) > LONGEST_REVISION:
        raise RevisionError(f"{revision} is longer than {LONGEST_REVISION} characters: shorten the module's name")
    return revision


def _number(revision: str) -> int:
    found = re.search("[0-9]+$", revision)
    return int(found[0]) if found else 0


def _folder(owners: dict[str, Path], owner: str) -> Path:
    if owner not in owners:
        raise RevisionError(f"no module called {owner}: make its package first; there are {', '.join(owners)}")
    return owners[owner]


def _owners() -> dict[str, Path]:
    """Map every owner to its folder, of modules without migrations too."""
    modules = Path(importlib.import_module(f"{service().import_name}.modules").__path__[0])
    own = {module.name: modules / module.name / "migrations" for module in service().modules}
    return dict(service().migrations) | own
