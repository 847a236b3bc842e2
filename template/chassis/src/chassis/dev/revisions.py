"""Makes a migration: the next revision of one owner, in that owner's folder."""

import importlib
from pathlib import Path

from alembic import command

from chassis.data.migration import configuration
from chassis.dev.project import service
from chassis.settings import StartError

USAGE = 'uv run just migration OWNER "what it does"'
LONGEST_REVISION = 32  # Alembic's column


class RevisionError(StartError):
    """The revision cannot be made; the message says what to type."""


def add(arguments: list[str]) -> None:
    """Write the revision that follows the newest of `OWNER`. Raises RevisionError."""
    match arguments:
        case [owner, text]:
            pass
        case _:
            raise RevisionError(USAGE)
    owners = _owners()
    if owner not in owners:
        raise RevisionError(f"no module called {owner}: make its package first; there are {', '.join(owners)}")
    folder = owners[owner]
    folder.mkdir(exist_ok=True)
    number = len(list(folder.glob(f"{owner}_*.py"))) + 1
    revision = f"{owner}_{number:04}"
    if len(revision) > LONGEST_REVISION:
        raise RevisionError(f"{revision} is longer than {LONGEST_REVISION} characters: shorten the module's name")
    config = configuration(owners)
    first = number == 1
    head, label = ("base", owner) if first else (f"{owner}@head", None)
    command.revision(config, text, rev_id=revision, version_path=folder, head=head, branch_label=label)


def _owners() -> dict[str, Path]:
    """Map every owner to its folder, of modules without migrations too."""
    modules = Path(importlib.import_module(f"{service().import_name}.modules").__path__[0])
    own = {module.name: modules / module.name / "migrations" for module in service().modules}
    return dict(service().migrations) | own
