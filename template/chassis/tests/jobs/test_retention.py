"""What is old goes, in batches, by one worker; what is young or may be needed again stays."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from chassis.data import Database, open_database
from chassis.jobs import Outbox, work
from chassis.jobs import _retention as retention
from chassis.jobs._retention import DELETE_INBOX, LOCK, sweep, sweep_until
from chassis.settings import Settings
from chassis.testing import PlanOf

from tests.sample.modules.notes import service

DAY = timedelta(days=1)
FILL = {
    "chassis_idempotency_keys": """
        INSERT INTO chassis_idempotency_keys (principal, route, key, fingerprint, created_at)
        SELECT '', '/', gen_random_uuid(), '', now() - $1::interval FROM generate_series(1, $2)
    """,
    "chassis_inbox": """
        INSERT INTO chassis_inbox (message_id, handler, received_at)
        SELECT gen_random_uuid(), 'test', now() - $1::interval FROM generate_series(1, $2)
    """,
    "pgqueuer_log": """
        INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint)
        SELECT now() - $1::interval, 1, 'successful', 0, 'test' FROM generate_series(1, $2)
    """,
    "chassis_tracked_jobs": """
        INSERT INTO chassis_tracked_jobs (id, owner, task, updated_at)
        SELECT gen_random_uuid(), '', 'test', now() - $1::interval FROM generate_series(1, $2)
    """,
}
AGES = {
    "chassis_idempotency_keys": DAY,
    "chassis_inbox": 30 * DAY,
    "pgqueuer_log": 30 * DAY,
    "chassis_tracked_jobs": 30 * DAY,
}

STATEMENTS = {
    "chassis_idempotency_keys": retention.DELETE_IDEMPOTENCY_KEYS,
    "chassis_inbox": DELETE_INBOX,
    "pgqueuer_log": retention.DELETE_QUEUE_LOG,
    "chassis_tracked_jobs": retention.DELETE_TRACKED_JOBS,
}


async def fill(database: Database, table: str, age: timedelta, rows: int) -> None:
    await database.pool.execute(FILL[table], age, rows)


async def left(database: Database, table: str) -> int:
    count: int = await database.pool.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # a constant above
    return count


@pytest.mark.parametrize("table", FILL)
async def test_the_old_goes_batch_by_batch_and_the_young_stays(
    database: Database, settings: Settings, table: str
) -> None:
    await fill(database, table, AGES[table] + timedelta(minutes=1), 25)
    await fill(database, table, AGES[table] - timedelta(minutes=1), 5)
    swept = await sweep(database, settings, batch=10)
    assert sorted(swept.values()) == [0, 0, 0, 25]
    assert await left(database, table) == 5


@pytest.mark.parametrize(("table", "statement"), [*STATEMENTS.items()])
async def test_what_is_young_is_not_read(database: Database, plan_of: PlanOf, table: str, statement: str) -> None:
    """Without the index on a table's age, each sweep would read all of it."""
    await fill(database, table, timedelta(), 20_000)
    await fill(database, table, 90 * DAY, 10)
    plan = await plan_of(statement, AGES[table], 1000)
    assert "Index Scan using" in plan
    assert f"Seq Scan on {table}" not in plan
    assert await left(database, table) == 20_000


async def test_a_batch_is_a_transaction_of_its_own(database: Database, settings: Settings) -> None:
    """A row that another has locked is skipped, and does not keep the rest."""
    await fill(database, "chassis_inbox", 31 * DAY, 25)
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM chassis_inbox LIMIT 1 FOR UPDATE")
        assert (await sweep(database, settings, batch=10))["inbox"] == 24
    assert (await sweep(database, settings))["inbox"] == 1


async def test_the_mark_of_a_message_outlives_the_jobs_it_may_come_again_with(
    database: Database, settings: Settings, outbox: Outbox
) -> None:
    """A job is a dead letter for weeks until it is retried; its message may have been received before that."""
    async with outbox.transaction() as transaction:
        await service.take(transaction, "alice", "waits long")
    await database.pool.execute("UPDATE pgqueuer SET created = now() - interval '40 days'")
    await fill(database, "chassis_inbox", 39 * DAY, 3)
    await fill(database, "chassis_inbox", 69 * DAY, 3)
    await fill(database, "chassis_inbox", 71 * DAY, 3)
    assert (await sweep(database, settings))["inbox"] == 3
    await database.pool.execute("DELETE FROM pgqueuer")
    assert (await sweep(database, settings))["inbox"] == 6


async def test_of_two_workers_one_sweeps(database: Database, settings: Settings) -> None:
    await fill(database, "chassis_inbox", 31 * DAY, 3)
    async with database.transaction() as first:
        assert await first.fetchval(LOCK, DELETE_INBOX)
        assert sum((await sweep(database, settings)).values()) == 0
    swept = await asyncio.gather(*(sweep(database, settings, batch=1) for _ in range(3)))
    assert sum(each["inbox"] for each in swept) == 3


async def test_a_worker_sweeps_beside_its_jobs(database: Database, settings: Settings) -> None:
    await fill(database, "chassis_inbox", 31 * DAY, 3)
    stop = asyncio.Event()
    working = asyncio.create_task(work(database, [], settings, stop))
    async with asyncio.timeout(20):
        while await left(database, "chassis_inbox"):
            await asyncio.sleep(0.02)
    stop.set()
    await working


async def levels_of_two_sweeps(settings: Settings) -> list[str]:
    """Sweep until it was said twice how that went."""
    stop = asyncio.Event()
    with capture_logs() as logs:
        async with open_database(settings) as database:
            sweeping = asyncio.create_task(sweep_until(stop, database, settings, []))
            async with asyncio.timeout(20):
                while len(logs) < 2:
                    await asyncio.sleep(0.01)
            stop.set()
            await sweeping
    return [entry["log_level"] for entry in logs][:2]


async def test_it_goes_on_when_the_database_was_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "INTERVAL_SECONDS", 0.01)
    away = Settings.model_validate(settings.model_dump() | {"database_url": "postgresql://postgres@127.0.0.1:1/none"})
    assert await levels_of_two_sweeps(away) == ["warning"] * 2


async def test_it_goes_on_when_a_table_is_not_there_yet(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "INTERVAL_SECONDS", 0.01)
    assert await levels_of_two_sweeps(empty) == ["error"] * 2
