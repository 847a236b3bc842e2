"""What is old goes, in batches, by one worker; what is young or may be needed again stays."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from chassis.data import Database
from chassis.http import IDEMPOTENCY_KEYS
from chassis.jobs import Outbox, Worker
from chassis.jobs._retention import LOCK_SWEEP, TRACKED_JOBS, dead_letter_unknown, sweep
from chassis.settings import Settings
from chassis.testing import PlanOf

from tests.jobs.conftest import states
from tests.sample.modules.notes import service

DAY = timedelta(days=1)
FILL = {
    "chassis_idempotency_keys": """
        INSERT INTO chassis_idempotency_keys (principal, route, key, fingerprint, created_at)
        SELECT '', '/', gen_random_uuid(), '', now() - $1::interval FROM generate_series(1, $2)
    """,
    "chassis_tracked_jobs": """
        INSERT INTO chassis_tracked_jobs (id, owner, task, updated_at)
        SELECT gen_random_uuid(), '', 'test', now() - $1::interval FROM generate_series(1, $2)
    """,
}
AGES = {
    "chassis_idempotency_keys": DAY,
    "chassis_tracked_jobs": 30 * DAY,
}

STATEMENTS = {
    "chassis_idempotency_keys": IDEMPOTENCY_KEYS.statement,
    "chassis_tracked_jobs": TRACKED_JOBS.statement,
}


async def fill(database: Database, table: str, age: timedelta, rows: int) -> None:
    await database.execute(FILL[table], age, rows)


async def left(database: Database, table: str) -> int:
    count: int = await database.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # a constant above
    return count


@pytest.mark.parametrize("table", FILL)
async def test_the_old_goes_batch_by_batch_and_the_young_stays(
    database: Database, settings: Settings, table: str
) -> None:
    await fill(database, table, AGES[table] + timedelta(minutes=1), 25)
    await fill(database, table, AGES[table] - timedelta(minutes=1), 5)
    swept = await sweep(database, [IDEMPOTENCY_KEYS], settings, batch=10)
    assert sorted(swept.values()) == [0, 25]
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
    await fill(database, "chassis_tracked_jobs", 31 * DAY, 25)
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM chassis_tracked_jobs LIMIT 1 FOR UPDATE")
        assert (await sweep(database, [], settings, batch=10))["tracked_jobs"] == 24
    assert (await sweep(database, [], settings))["tracked_jobs"] == 1


async def test_of_two_workers_one_sweeps(database: Database, settings: Settings) -> None:
    await fill(database, "chassis_tracked_jobs", 31 * DAY, 3)
    async with database.transaction() as first:
        assert await first.fetchval(LOCK_SWEEP, TRACKED_JOBS.statement)
        assert sum((await sweep(database, [], settings)).values()) == 0
    swept = await asyncio.gather(*(sweep(database, [], settings, batch=1) for _ in range(3)))
    assert sum(each["tracked_jobs"] for each in swept) == 3


async def test_a_worker_sweeps_beside_its_jobs(database: Database, settings: Settings) -> None:
    await fill(database, "chassis_idempotency_keys", 2 * DAY, 3)
    stop = asyncio.Event()
    working = asyncio.create_task(Worker(database, [], settings, stop, retention=[IDEMPOTENCY_KEYS]).run())
    async with asyncio.timeout(20):
        while await left(database, "chassis_idempotency_keys"):
            await asyncio.sleep(0.02)
    stop.set()
    await working


async def test_jobs_that_no_handler_has_a_name_for_are_dead_lettered_after_a_while(
    outbox: Outbox, database: Database
) -> None:
    async with outbox.transaction() as transaction:
        await service.take(transaction, "alice", "known")
    await database.execute("UPDATE chassis_jobs SET run_at = now() - interval '2 hours'")
    hour = timedelta(hours=1)
    assert await dead_letter_unknown(database, ["notes.admire", "notes.count"], hour) == []
    assert await dead_letter_unknown(database, ["notes.admire"], 3 * hour) == []
    with capture_logs() as logs:
        assert await dead_letter_unknown(database, ["notes.admire"], hour) == ["notes.count"]
    assert [(entry["event"], entry["job"]) for entry in logs] == [("job dead-lettered", "notes.count")]
    assert sorted(await states(database)) == [("dead", 0), ("queued", 0)]
    assert await database.fetchval("SELECT max(errors -> -1 ->> 'type') FROM chassis_jobs") == "UnknownHandler"
