"""Compares the revisions in the code with the database, without importing Alembic."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from chassis.data._database import NOT_READY_ERRORS, Database
from chassis.settings import StartError

REVISION = re.compile(r"""^revision\b[^=\n]*=\s*["'](\w+)["']""", re.MULTILINE)
# One or several revisions that come before.
BEFORE = re.compile(r"^(?:down_revision|depends_on)\b[^=\n]*=(.*)$", re.MULTILINE)
HAS_TABLE = "SELECT to_regclass('alembic_version') IS NOT NULL"
APPLIED = "SELECT version_num FROM alembic_version"


class NotMigrated(StartError):
    """The database lacks revisions."""


def revisions_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Find the revisions in a folder, with their files."""
    for path in sorted(folder.glob("*.py")):
        if found := REVISION.search(path.read_text(encoding="utf-8")):
            yield found[1], path


class Revisions:
    """The revisions of these owners of tables, by their folders."""

    def __init__(self, database: Database, owners: Mapping[str, Path]) -> None:
        self._database = database
        files = [(owner, *found) for owner, folder in owners.items() for found in revisions_in(folder)]
        self._owner = {revision: owner for owner, revision, _ in files}
        self._before = {revision: _before(path.read_text(encoding="utf-8")) for _, revision, path in files}
        self._are_applied = False

    async def are_applied(self) -> bool:
        """Return whether the database has them all; it is not asked again once it has, since no release removes one."""
        try:
            self._are_applied = self._are_applied or not await self._missing()
        except NOT_READY_ERRORS:
            return False
        return self._are_applied

    async def check(self) -> str:
        """Raise NotMigrated if the database lacks revisions."""
        if missing := await self._missing():
            noun = "revision" if len(missing) == 1 else "revisions"
            raise NotMigrated(f"{len(missing)} {noun} behind, first {missing[0]}: run the command migrate")
        return f"all {len(self._owner)} revisions are applied"

    async def _missing(self) -> Sequence[str]:
        """Name the missing revisions.

        An owner whose database revision is newer than this code, as after a rollback, counts as complete.
        """
        has_table = await self._database.fetchval(HAS_TABLE)
        heads = {row["version_num"] for row in await self._database.fetch(APPLIED)} if has_table else set[str]()
        applied, left = set[str](), [*heads]
        while left:
            applied.add(revision := left.pop())
            left += [each for each in self._before.get(revision, ()) if each not in applied]
        newer = {head.rpartition("_")[0] for head in heads - self._owner.keys()}
        return [name for name, owner in self._owner.items() if name not in applied and owner not in newer]


def _before(text: str) -> Sequence[str]:
    return [name for names in BEFORE.findall(text) for name in re.findall(r"""["'](\w+)["']""", names)]
