"""Schedules, which only queue a task: once at each tick, however many workers there are.

A tick and the job that it queues are one transaction, and the time is the database's: a worker that dies or whose clock
is wrong neither loses nor doubles one. After a time without any worker, the ticks that were missed are one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from croniter import CroniterError, croniter

from chassis.data import Caller
from chassis.errors import Unavailable
from chassis.jobs._messages import Task
from chassis.jobs._outbox import Outbox
from chassis.ops import entry_span, traceparent

log = structlog.stdlib.get_logger(__name__)

# Another worker that is at it has locked the row.
DUE = """
    SELECT now() AS now, due_at IS NOT NULL AND due_at <= now() AS is_due, expression <> $2 AS has_changed
    FROM chassis_schedules WHERE name = $1 FOR UPDATE SKIP LOCKED
"""
ADD = "INSERT INTO chassis_schedules (name, expression) VALUES ($1, $2) ON CONFLICT DO NOTHING"
SET = "UPDATE chassis_schedules SET expression = $2, due_at = $3 WHERE name = $1"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A task, which has no field that must be given, and when it is queued, in UTC."""

    expression: str
    task: type[Task]

    @property
    def name(self) -> str:
        """The module and the task, as in `invoices.Remind`."""
        return f"{self.task.__module__.split('.')[-2]}.{self.task.__name__}"

    def after(self, time: datetime) -> datetime:
        """Give the next tick after a time."""
        tick: datetime = croniter(self.expression, time).get_next(datetime)
        return tick


def cron(expression: str, task: type[Task]) -> Schedule:
    """Queue a task at times such as `*/5 * * * *`, for the SCHEDULES list of a module's `handlers`.

    A sixth field, at the end, is for seconds. Raises ValueError for an expression that is invalid or never matches.
    """
    schedule = Schedule(expression, task)
    try:
        schedule.after(datetime.now(UTC))
    except CroniterError as error:
        raise ValueError(f"{expression!r} is no cron expression that matches a time: {error}") from None
    return schedule


async def tick_all(outbox: Outbox, schedules: Iterable[Schedule]) -> None:
    """Queue the tasks that are due; an error in one schedule leaves the others alone. Raises Unavailable."""
    for schedule in schedules:
        try:
            await tick(outbox, schedule)
        except Unavailable:
            raise
        except Exception:
            log.exception("schedule failed", schedule=schedule.name)


async def tick(outbox: Outbox, schedule: Schedule) -> None:
    """Queue the task when it is due and note when it is next; a new or changed schedule starts at its next tick."""
    async with outbox.transaction() as transaction:
        await transaction.connection.execute(ADD, schedule.name, "")
        row = await transaction.connection.fetchrow(DUE, schedule.name, schedule.expression)
        if row is None or not (row["is_due"] or row["has_changed"]):
            return
        if row["is_due"] and not row["has_changed"]:
            with entry_span(f"tick {schedule.name}", "producer", {}):
                transaction.caller = Caller(traceparent=traceparent())
                await transaction.publish(schedule.task())
                log.info("schedule ticked", schedule=schedule.name)
        await transaction.connection.execute(SET, schedule.name, schedule.expression, schedule.after(row["now"]))
