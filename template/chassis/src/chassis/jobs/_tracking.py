"""Long-running work that a request asks for: who asked can see how far it is, and where its result will be.

How a job stands is read off the queue while it is there, and noted beside it when it has come to an end.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import wraps
from uuid import UUID

from chassis.data import Connection
from chassis.errors import NotFound
from chassis.jobs._handlers import Handler, Job, handle_without_transaction
from chassis.jobs._messages import TrackedTask
from chassis.jobs._transactions import Transaction

ADD = "INSERT INTO chassis_tracked_jobs (id, owner, task) VALUES ($1, $2, $3)"

# Of one that is neither on the queue nor at its end, something is at work.
GET = """
    SELECT id, CASE
            WHEN has_succeeded THEN 'succeeded'
            WHEN NOT has_succeeded THEN 'failed'
            ELSE coalesce((
                SELECT CASE WHEN dead_at IS NOT NULL THEN 'failed' WHEN worker IS NULL THEN 'queued' ELSE 'running' END
                FROM chassis_jobs WHERE message_id = job.id
            ), 'running')
        END AS status, done, total, result, created_at
    FROM chassis_tracked_jobs AS job WHERE id = $1 AND owner = $2
"""

ADVANCE = (
    "UPDATE chassis_tracked_jobs SET done = done + $2, total = coalesce($3, total), updated_at = now() WHERE id = $1"
)

FINISH = "UPDATE chassis_tracked_jobs SET has_succeeded = true, result = $2, updated_at = now() WHERE id = $1"


class JobNotFound(NotFound):
    title = "Job not found"


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrackedJob:
    """How a job stands; `result` is where what it made can be read, once it has succeeded."""

    id: UUID
    status: JobStatus
    done: int
    total: int | None
    result: str | None
    created_at: datetime


async def begin(transaction: Transaction, owner: str, task: TrackedTask) -> TrackedJob:
    """Queue a task in this transaction, for its owner to follow."""
    await transaction.connection.execute(ADD, task.id, owner, type(task).__name__)
    await transaction.publish(task)
    return await get(transaction.connection, owner, task.id)


async def get(connection: Connection, owner: str, job_id: UUID) -> TrackedJob:
    """Raise JobNotFound when the owner has no such job."""
    row = await connection.fetchrow(GET, job_id, owner)
    if row is None:
        raise JobNotFound
    values = dict(row)
    return TrackedJob(status=JobStatus(values.pop("status")), **values)


async def advance(transaction: Transaction, job_id: UUID, done: int, total: int | None = None) -> None:
    """Record in the transaction of the work that `done` more are done, and the total once it is known."""
    await transaction.connection.execute(ADVANCE, job_id, done, total)


def handle_tracked[M: TrackedTask](
    message: type[M], function: Callable[[M, Job], Awaitable[str | None]], *, name: str | None = None
) -> Handler:
    """Pair a tracked task with its function, which answers where its result can be read, or None.

    It takes a transaction for each batch and may be broken off between two: it begins by finding out what is done.
    """

    @wraps(function)
    async def run(task: M, job: Job) -> None:
        result = await function(task, job)
        async with job.transaction() as transaction:
            await transaction.connection.execute(FINISH, task.id, result)

    return handle_without_transaction(message, run, name=name)
