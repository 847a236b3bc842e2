"""A tick queues its task once, whatever happens to the worker that saw it."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from chassis.data import Database
from chassis.jobs import Outbox, Schedule, Task, Transaction, cron, handle
from chassis.jobs._schedules import tick, tick_all


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
    count: int = await database.fetchval("SELECT count(*) FROM chassis_jobs")
    return count


async def due_in(database: Database) -> timedelta:
    waits: timedelta = await database.fetchval("SELECT due_at - now() FROM chassis_schedules")
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
    await database.execute(DUE, missed)
    await asyncio.gather(*(tick(outbox, FIVE_MINUTES) for _ in range(10)))
    assert await queued(database) == 1
    assert timedelta(0) < await due_in(database) <= timedelta(minutes=5)


async def test_a_tick_and_its_job_are_one_transaction(outbox: Outbox, database: Database) -> None:
    await tick(outbox, FIVE_MINUTES)
    await database.execute(DUE, timedelta(minutes=1))
    await database.execute("ALTER TABLE chassis_schedules ADD CONSTRAINT broken CHECK (due_at < now()) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await tick(outbox, FIVE_MINUTES)
    await database.execute("ALTER TABLE chassis_schedules DROP CONSTRAINT broken")
    assert await queued(database) == 0
    await tick(outbox, FIVE_MINUTES)
    assert await queued(database) == 1


async def test_a_schedule_that_was_changed_begins_anew(outbox: Outbox, database: Database) -> None:
    await tick(outbox, FIVE_MINUTES)
    await database.execute(DUE, timedelta(minutes=1))
    await tick(outbox, cron("0 3 * * *", Remind))
    assert await queued(database) == 0
    assert await due_in(database) > timedelta(0)


async def test_the_ticks_are_in_utc() -> None:
    nine = datetime(2026, 3, 29, 9, tzinfo=UTC)  # the day on which clocks change
    assert cron("0 3 * * *", Remind).after(nine) == datetime(2026, 3, 30, 3, tzinfo=UTC)
    assert cron("* * * * * */10", Remind).after(nine) == nine + timedelta(seconds=10)


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "every day", "0 0 30 2 *"])
def test_an_expression_that_is_invalid_or_never_matches_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is no cron expression"):
        cron(expression, Remind)


async def test_an_error_in_one_schedule_leaves_the_others_alone(outbox: Outbox, database: Database) -> None:
    never = Schedule("0 0 30 2 *", Remind)
    with capture_logs() as logs:
        await tick_all(outbox, [never, FIVE_MINUTES])
    assert [entry["event"] for entry in logs] == ["schedule failed"]
    assert await due_in(database) <= timedelta(minutes=5)


async def test_a_tick_begins_a_trace_of_its_own(outbox: Outbox, database: Database) -> None:
    await tick(outbox, FIVE_MINUTES)
    traces: set[str] = set()
    for _ in range(2):
        await database.execute(DUE, timedelta(0))
        await tick(outbox, FIVE_MINUTES)
        traces |= {row["traceparent"] for row in await database.fetch("DELETE FROM chassis_jobs RETURNING traceparent")}
    assert len({parent[3:35] for parent in traces if re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[02]", parent)}) == 2
