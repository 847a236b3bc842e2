"""Which revisions a database lacks, found without Alembic as Alembic finds them."""

import re
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest

from chassis.data import Database, Revisions, open_database
from chassis.data._revisions import NotMigrated
from chassis.data.migration import migrate
from chassis.settings import Settings

from tests.sample.service import service

OWNERS = service.migrations
REVISION = """
from alembic import op

revision = "{name}"
down_revision = {before}
branch_labels = {labels}
depends_on = {needs}


def upgrade() -> None:
    op.execute("SELECT 1")


def downgrade() -> None:
    op.execute("SELECT 1")
"""


class Folder:
    """The revisions of an owner, written one by one."""

    def __init__(self, path: Path) -> None:
        self.owner = path.name
        self.path = path
        path.mkdir()

    def add(self, number: int, before: object, needs: object = None) -> None:
        name, labels = f"{self.owner}_{number:04}", None if before else (self.owner,)
        text = REVISION.format(name=name, before=repr(before), labels=repr(labels), needs=repr(needs))
        (self.path / f"{name}.py").write_text(text, encoding="utf-8")


@pytest.fixture
def things(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "things")
    folder.add(1, None)
    return folder


@pytest.fixture
async def unmigrated(empty: Settings) -> AsyncGenerator[Database]:
    async with open_database(empty) as database:
        yield database


async def test_a_database_without_a_table_lacks_them_all(unmigrated: Database) -> None:
    revisions = Revisions(unmigrated, OWNERS)
    assert not await revisions.are_applied()
    count = len([path for folder in OWNERS.values() for path in folder.glob("*.py")])
    with pytest.raises(NotMigrated, match=rf"\A{count} revisions behind, first chassis_jobs_0001: run"):
        await revisions.check()


async def test_a_migrated_database_lacks_none(database: Database) -> None:
    assert await Revisions(database, OWNERS).are_applied()
    assert await Revisions(database, OWNERS).check() == f"all {len(OWNERS)} revisions are applied"


async def test_one_revision_behind_is_not_at_head(unmigrated: Database, empty: Settings, things: Folder) -> None:
    owners = {"things": things.path}
    await migrate(empty, owners)
    things.add(2, "things_0001")
    with pytest.raises(NotMigrated, match=re.escape("1 revision behind, first things_0002: run the command migrate")):
        await Revisions(unmigrated, owners).check()
    await migrate(empty, owners)
    assert await Revisions(unmigrated, owners).are_applied()


async def test_one_owner_behind_is_not_at_head(unmigrated: Database, empty: Settings, things: Folder) -> None:
    await migrate(empty, OWNERS)
    assert not await Revisions(unmigrated, {**OWNERS, "things": things.path}).are_applied()


async def test_the_release_before_is_ready_on_the_new_schema(
    unmigrated: Database, empty: Settings, things: Folder
) -> None:
    before = Revisions(unmigrated, {"things": things.path})
    things.add(2, "things_0001")
    await migrate(empty, {**OWNERS, "things": things.path})
    assert await before.are_applied()


async def test_a_newer_revision_of_another_owner_covers_nothing(
    unmigrated: Database, empty: Settings, things: Folder, tmp_path: Path
) -> None:
    """Their names begin alike."""
    others = Folder(tmp_path / "things_archive")
    others.add(1, None)
    await migrate(empty, {"things_archive": others.path})
    assert not await Revisions(unmigrated, {"things": things.path}).are_applied()


async def test_two_heads_that_were_merged_and_a_revision_of_which_another_depends_are_applied(
    unmigrated: Database, empty: Settings, things: Folder, tmp_path: Path
) -> None:
    """The table of Alembic names the last only."""
    for number, before in ((2, "things_0001"), (3, "things_0001"), (4, ("things_0002", "things_0003"))):
        things.add(number, before)
    others = Folder(tmp_path / "others")
    others.add(1, None, needs="things_0004")
    owners: Mapping[str, Path] = {"things": things.path, "others": others.path}
    await migrate(empty, owners)
    assert await unmigrated.fetchval("SELECT array_agg(version_num) FROM alembic_version") == ["others_0001"]
    assert await Revisions(unmigrated, owners).are_applied()


async def test_it_asks_no_more_once_all_are_applied(database: Database, statements: list[str]) -> None:
    revisions = Revisions(database, OWNERS)
    await revisions.are_applied()
    statements.clear()
    assert await revisions.are_applied()
    assert statements == []


async def test_a_database_that_is_away_is_not_at_head() -> None:
    away = Settings.model_validate({"database_url": "postgresql://postgres@127.0.0.1:1/none"})
    async with open_database(away) as database:
        assert not await Revisions(database, OWNERS).are_applied()
