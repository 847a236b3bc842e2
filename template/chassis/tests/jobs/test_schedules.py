"""A tick queues its task once, whatever happens to the worker that saw it."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from chassis.data import Database, open_database
from chassis.jobs import Outbox, Task, Transaction, handle
from chassis.jobs import _schedules as schedules
from chassis.jobs._schedules import cron, tick, tick_until
from chassis.settings import Settings


class Remind(Task):
    """What is due now and then."""


async def remind(_task: Remind, _transaction: Transaction) -> None:
    """Do nothing: what counts is how often it is queued."""


FIVE_MINUTES = cron("*/5 * * * *", Remind)
DUE = "UPDATE chassis_schedules SET due_at = now() - $1::interval"


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, [handle(Remind, remind)])


async def queued(database: Database) -> int:
    count: int = await database.pool.fetchval("SELECT count(*) FROM pgqueuer")
    return count


async def due_in(database: Database) -> timedelta:
    waits: timedelta = await database.pool.fetchval("SELECT due_at - now() FROM chassis_schedules")
    return waits


async def test_a_new_schedule_waits_for_its_first_tick(outbox: Outbox, database: Database) -> None:
    await tick(outbox, FIVE_MINUTES)
    assert await queued(database) == 0
    assert timedelta(0) < await due_in(database) <= timedelta(minutes=5)


@pytest.mark.parametrize("missed", [timedelta(0), timedelta(days=1)], ids=["one", "a day of them"])
async def test_what_is_due_is_queued_once_by_any_number_of_workers(
    outbox: Outbox, database: Database, missed: timedelta
) -> None:
    await tick(outbox, FIVE_MINUTES)
    await database.pool.execute(DUE, missed)
    await asyncio.gather(*(tick(outbox, FIVE_MINUTES) for _ in range(10)))
    assert await queued(database) == 1
    assert timedelta(0) < await due_in(database) <= timedelta(minutes=5)


async def test_a_tick_and_its_job_are_one_transaction(outbox: Outbox, database: Database) -> None:
    await tick(outbox, FIVE_MINUTES)
    await database.pool.execute(DUE, timedelta(minutes=1))
    await database.pool.execute("ALTER TABLE chassis_schedules ADD CONSTRAINT broken CHECK (due_at < now()) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await tick(outbox, FIVE_MINUTES)
    await database.pool.execute("ALTER TABLE chassis_schedules DROP CONSTRAINT broken")
    assert await queued(database) == 0
    await tick(outbox, FIVE_MINUTES)
    assert await queued(database) == 1


async def test_a_schedule_that_was_changed_begins_anew(outbox: Outbox, database: Database) -> None:
    await tick(outbox, FIVE_MINUTES)
    await database.pool.execute(DUE, timedelta(minutes=1))
    await tick(outbox, cron("0 3 * * *", Remind))
    assert await queued(database) == 0
    assert await due_in(database) > timedelta(0)


async def test_the_ticks_are_in_utc() -> None:
    nine = datetime(2026, 3, 29, 9, tzinfo=UTC)  # the day on which clocks change
    assert cron("0 3 * * *", Remind).after(nine) == datetime(2026, 3, 30, 3, tzinfo=UTC)
    assert cron("* * * * * */10", Remind).after(nine) == nine + timedelta(seconds=10)


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "every day"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is no cron expression"):
        cron(expression, Remind)


async def test_a_schedule_goes_on_when_a_look_fails(
    outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "LOOK_SECONDS", 0.01)
    await database.pool.execute("ALTER TABLE chassis_schedules RENAME TO away")
    stop = asyncio.Event()
    with capture_logs() as logs:
        ticking = asyncio.create_task(tick_until(stop, outbox, [FIVE_MINUTES]))
        async with asyncio.timeout(20):
            while not logs:
                await asyncio.sleep(0.01)
            await database.pool.execute("ALTER TABLE away RENAME TO chassis_schedules")
            while not await database.pool.fetchval("SELECT count(*) FROM chassis_schedules"):
                await asyncio.sleep(0.01)
        stop.set()
        await ticking
    assert {entry["event"] for entry in logs} == {"schedule failed"}


async def test_without_the_database_it_waits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "LOOK_SECONDS", 0.01)
    away = Settings.model_validate(settings.model_dump() | {"database_url": "postgresql://postgres@127.0.0.1:1/none"})
    stop = asyncio.Event()
    with capture_logs() as logs:
        async with open_database(away) as database:
            ticking = asyncio.create_task(tick_until(stop, Outbox(database, []), [FIVE_MINUTES]))
            async with asyncio.timeout(20):
                while len(logs) < 2:
                    await asyncio.sleep(0.01)
            stop.set()
            await ticking
    assert {entry["log_level"] for entry in logs} == {"warning"}
