"""Migrations go up, down and up again, each owner's on its own."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from chassis.data import migration, open_database
from chassis.data.migration import ATTEMPTS, LOCK, MigrationError, configuration, migrate
from chassis.identity.api_keys import api_keys
from chassis.settings import Settings, SettingsError
from chassis.testing._databases import execute, in_database

from tests.sample.service import service

OWNERS = replace(service, auth=api_keys).migrations
REVISIONS = [*ScriptDirectory.from_config(configuration(OWNERS)).walk_revisions()][::-1]
# All that a revision may make: columns, constraints, indexes, triggers, functions and types.
SCHEMA = """
    SELECT 'column', table_name, column_name, concat_ws(' ', data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', '', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'type', '', typname, '' FROM pg_type WHERE typnamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3, 4
"""
NEWER = """
from alembic import op

revision = "notes_0002"
down_revision = "notes_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute({statement!r})


def downgrade() -> None:
    op.execute("SELECT 1")
"""


def newer(folder: Path, statement: str) -> Mapping[str, Path]:
    """Add a revision to the notes and give the owners with it."""
    for path in OWNERS["notes"].glob("*.py"):
        (folder / path.name).write_text(path.read_text())
    (folder / "notes_0002_newer.py").write_text(NEWER.format(statement=statement))
    return {**OWNERS, "notes": folder}


async def schema(settings: Settings) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(settings.database_url)
    rows = await connection.fetch(SCHEMA)
    await connection.close()
    return [tuple(row) for row in rows if "alembic_version" not in "".join(row)]


async def test_up_down_and_up_again_give_the_same_schema(empty: Settings) -> None:
    await migrate(empty, OWNERS)
    first = await schema(empty)
    assert first
    for owner in OWNERS:
        await migrate(empty, OWNERS, downgrade=f"{owner}@base")
    assert await schema(empty) == []
    await migrate(empty, OWNERS)
    assert await schema(empty) == first


async def test_a_second_run_changes_nothing(empty: Settings) -> None:
    await migrate(empty, OWNERS)
    first = await schema(empty)
    await migrate(empty, OWNERS)
    assert await schema(empty) == first


@pytest.mark.parametrize("owner", OWNERS)
async def test_an_owner_leaves_without_the_others(empty: Settings, owner: str) -> None:
    await migrate(empty, OWNERS)
    before = await schema(empty)
    await migrate(empty, OWNERS, downgrade=f"{owner}@base")
    left = set(await schema(empty))
    await migrate(empty, {owner: OWNERS[owner]} | {other: path for other, path in OWNERS.items() if other != owner})
    assert left < set(before)
    assert await schema(empty) == before


async def test_two_at_once_wait_for_each_other(empty: Settings) -> None:
    await asyncio.gather(*(migrate(empty, OWNERS) for _ in range(3)))
    assert await schema(empty)


async def test_each_revision_goes_down_and_up_again(empty: Settings) -> None:
    """Step by step: down from each revision gives the schema before it, and up again the one after it."""
    for revision in REVISIONS:
        owner, number = revision.revision.rsplit("_", 1)
        down = str(revision.down_revision or f"{owner}@base")
        before = await schema(empty)
        await migrate(empty, OWNERS, upgrade=revision.revision)
        after = await schema(empty)
        await migrate(empty, OWNERS, downgrade=down)
        assert await schema(empty) == before, revision.revision
        await migrate(empty, OWNERS, upgrade=revision.revision)
        assert await schema(empty) == after, revision.revision
        assert int(number)


async def test_a_newer_revision_of_one_owner_is_applied_beside_the_rest(empty: Settings, tmp_path: Path) -> None:
    await migrate(empty, OWNERS)
    await migrate(empty, newer(tmp_path, "ALTER TABLE notes ADD COLUMN title text"))
    assert ("column", "notes", "title") in {row[:3] for row in await schema(empty)}


async def test_a_folder_may_have_a_percent_sign_and_a_space_in_its_name(empty: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "100%(done) %s"
    folder.mkdir()
    await migrate(empty, newer(folder, "ALTER TABLE notes ADD COLUMN title text"))
    assert any("title" in row for row in await schema(empty))


async def test_every_revision_has_limits(empty: Settings, tmp_path: Path) -> None:
    """A revision notes what holds for it; the one before has set itself others."""
    limits = "SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement"
    owners = newer(tmp_path, "SET statement_timeout = 0")
    after = NEWER.format(statement=f"CREATE TABLE limits AS {limits}")
    after = after.replace("notes_0002", "notes_0003").replace("notes_0001", "notes_0002")
    (tmp_path / "notes_0003_limits.py").write_text(after)
    await migrate(empty, owners)
    connection = await asyncpg.connect(empty.database_url)
    row = await connection.fetchrow("SELECT lock, statement FROM limits")
    await connection.close()
    assert row is not None
    assert tuple(row) == ("5s", "1min")


@pytest.mark.parametrize("releases", [True, False], ids=["released", "held"])
async def test_a_locked_table_is_tried_again_a_limited_number_of_times(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, releases: bool
) -> None:
    await migrate(empty, OWNERS)
    owners = newer(tmp_path, "ALTER TABLE notes ADD COLUMN title text")
    monkeypatch.setattr(migration, "LIMITS", {"lock_timeout": "50ms", "statement_timeout": "5s"})
    attempts = 0
    connection = await asyncpg.connect(empty.database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT FROM notes")

    async def pause(_seconds: float) -> None:
        nonlocal attempts
        attempts += 1
        if releases:
            await transaction.rollback()

    monkeypatch.setattr("asyncio.sleep", pause)
    if releases:
        await migrate(empty, owners)
    else:
        with pytest.raises(MigrationError, match="pg_stat_activity"):
            await migrate(empty, owners)
    await connection.close()
    assert attempts == (1 if releases else ATTEMPTS - 1)
    assert releases == (("column", "notes", "title") in {row[:3] for row in await schema(empty)})


async def test_a_statement_that_takes_too_long_is_reported_in_one_line(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "LIMITS", {"lock_timeout": "5s", "statement_timeout": "1s"})
    with pytest.raises(MigrationError, match="SET LOCAL statement_timeout"):
        await migrate(empty, newer(tmp_path, "SELECT pg_sleep(60)"))


async def test_a_mistake_in_a_revision_is_shown_whole(empty: Settings, tmp_path: Path) -> None:
    with pytest.raises(DBAPIError, match="nothing_like_it"):
        await migrate(empty, newer(tmp_path, "ALTER TABLE nothing_like_it ADD COLUMN title text"))


async def test_a_revision_that_is_not_there_is_named(empty: Settings) -> None:
    with pytest.raises(MigrationError, match="'missing'"):
        await migrate(empty, OWNERS, downgrade="missing@base")


@pytest.mark.parametrize("url", ["postgresql://postgres@127.0.0.1:1/none", "postgresql://nobody@localhost:1/none"])
async def test_a_database_that_is_away_is_reported_with_its_variable(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        await migrate(Settings.model_validate({"database_url": url}), OWNERS)


async def test_a_password_that_is_refused_is_reported_in_one_line(empty: Settings) -> None:
    parts = urlsplit(empty.database_url)
    url = parts._replace(netloc=f"postgres:guessed@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(SettingsError, match="password authentication failed") as raised:
        await migrate(Settings.model_validate({"database_url": url}), OWNERS)
    assert len(str(raised.value).splitlines()) == 1


async def test_a_role_that_may_not_create_tables_is_reported_in_one_line(empty: Settings) -> None:
    role = f"reader_{token_hex(4)}"
    await execute(empty.database_url, f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    parts = urlsplit(empty.database_url)
    url = parts._replace(netloc=f"{role}:right@{parts.hostname}:{parts.port}").geturl()
    try:
        with pytest.raises(MigrationError, match=r"^permission denied for schema public") as raised:
            await migrate(Settings.model_validate({"database_url": url}), OWNERS)
    finally:
        await execute(empty.database_url, f"DROP ROLE {role}")
    assert len(str(raised.value).splitlines()) == 1


async def test_a_database_that_is_not_utf8_is_reported_with_what_to_do(empty: Settings) -> None:
    name = f"latin_{token_hex(4)}"
    await execute(empty.database_url, f"CREATE DATABASE {name} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
    latin = Settings.model_validate({"database_url": in_database(empty.database_url, name)})
    try:
        with pytest.raises(SettingsError, match="encoding LATIN1: create it with ENCODING 'UTF8'"):
            await migrate(latin, OWNERS)
        async with open_database(latin) as database:
            assert not await database.ready()
    finally:
        await execute(empty.database_url, f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_wait_for_another_migration_is_said_and_has_a_limit(
    empty: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(migration, "WAIT_SECONDS", 0.2)
    other = await asyncpg.connect(empty.database_url)
    await other.fetchval(LOCK)
    with pytest.raises(MigrationError, match="pg_locks"):
        await migrate(empty, OWNERS)
    await other.close()
    assert capsys.readouterr().err == "Waiting for another migration.\n"
