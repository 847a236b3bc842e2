"""What was backed up can be restored, row for row, and a restore destroys nothing."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from chassis.data import Database
from chassis.dev import backup, postgres
from chassis.jobs import Outbox
from chassis.settings import Settings
from chassis.testing._databases import Server, execute, in_database

from tests.sample.modules.notes import service

KEEP_ANSWER = r"""
    INSERT INTO chassis_idempotency_keys (principal, route, key, fingerprint, status, headers, body)
    VALUES ('alice', 'POST /v1/notes', 'a', '\x00ff', 201, '[]', '\x00ff')
"""
ELSEWHERE = "postgresql://postgres@database.example.org/shop"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
SCHEMA = """
    SELECT table_name::text, column_name::text, data_type::text, column_default FROM information_schema.columns
    WHERE table_schema = 'public'
    UNION ALL
    SELECT tablename, indexname, indexdef, NULL FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), NULL FROM pg_trigger WHERE NOT tgisinternal
    ORDER BY 1, 2, 3
"""


async def content(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Read the schema and every row of every table."""
    connection = await asyncpg.connect(url)
    found = {"": [tuple(row) for row in await connection.fetch(SCHEMA)]}
    for (table,) in await connection.fetch(TABLES):
        rows = await connection.fetch(f'SELECT t::text FROM "{table}" AS t ORDER BY 1')  # noqa: S608  # a table of ours
        found[table] = [tuple(row) for row in rows]
    await connection.close()
    return found


async def test_a_backup_can_be_restored_whole(
    settings: Settings, database: Database, outbox: Outbox, server: Server, tmp_path: Path
) -> None:
    async with outbox.transaction() as transaction:
        await service.take(transaction, "alice", "'; quoted \\ and ü 🏳️‍🌈")
        await service.take(transaction, "alice", "another")
    await database.execute(KEEP_ANSWER)
    url, file, name = settings.database_url, tmp_path / "today.dump", f"{server.template}_restored"
    backup.backup(url, str(file))
    try:
        backup.restore(url, str(file), "--into", name, "--elsewhere")
        restored = await content(in_database(url, name))
    finally:
        await execute(server.url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    assert restored == await content(url)
    assert len(restored["notes"]) == len(restored["chassis_jobs"]) // 2 == 2


async def test_a_database_that_is_not_empty_is_left_alone(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    url, file = settings.database_url, tmp_path / "today.dump"
    backup.backup(url, str(file))
    await database.execute(KEEP_ANSWER)
    for arguments in ([], ["--into", urlsplit(url).path[1:]]):
        with pytest.raises(postgres.PostgresError, match=r"is not empty|already exists"):
            backup.restore(url, str(file), "--elsewhere", *arguments)
    assert await database.fetchval("SELECT count(*) FROM chassis_idempotency_keys") == 1


def test_a_database_elsewhere_is_restored_into_on_demand_only(tmp_path: Path) -> None:
    with pytest.raises(postgres.PostgresError, match="on this machine"):
        backup.restore(ELSEWHERE, str(tmp_path / "today.dump"))


def test_a_backup_is_for_nobody_else_to_read_and_leaves_nothing_beside_it(worker_database: str, tmp_path: Path) -> None:
    backup.backup(worker_database, str(tmp_path / "today.dump"))
    [file] = tmp_path.iterdir()
    assert file.name == "today.dump"
    assert os.name == "nt" or file.stat().st_mode & 0o077 == 0


def test_a_backup_that_fails_leaves_the_last_one(worker_database: str, tmp_path: Path) -> None:
    file = tmp_path / "today.dump"
    file.write_text("yesterday's")
    with pytest.raises(postgres.PostgresError):
        backup.backup(in_database(worker_database, "no_such_database"), str(file))
    assert file.read_text() == "yesterday's"


def test_a_program_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "initdb").touch()
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(postgres.PostgresError, match="pg_dump is missing: name a PostgreSQL that has it in PG_BIN"):
        backup.backup(ELSEWHERE, str(tmp_path / "today.dump"))
