"""A transaction with its outbox: a message becomes jobs in the transaction that caused it, or not at all."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from chassis.data import Caller, Connection
from chassis.jobs._messages import Message, Payload, Task
from chassis.jobs._ordering import LOCK, advance

NOW = timedelta(0)

# A job that is there already, by its message or by its key, is left as it is. Ids are in the order of the arrays.
_INTO = """
    INSERT INTO chassis_jobs (
        handler, message_id, version, payload, priority, is_limited, ordering_key, request_id, traceparent,
        key, is_waiting, due_at, run_at
    )
"""
INSERT = f"""
    {_INTO}
    SELECT handler, message_id, version, payload, priority, is_limited, ordering_key, request_id, traceparent,
        $10, ordering_key IS NOT NULL, now() + $11, now() + $11
    FROM unnest($1::text[], $2::uuid[], $3::int[], $4::bytea[], $5::smallint[], $6::bool[], $7::text[], $8::text[],
        $9::text[])
        AS job (handler, message_id, version, payload, priority, is_limited, ordering_key, request_id, traceparent)
    ON CONFLICT DO NOTHING RETURNING handler, ordering_key
"""  # noqa: S608  # made of constants
# Arrays cost twice as much as values, and a new connection several statements to learn about their types.
INSERT_ONE = f"""
    {_INTO}
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, false, now() + $11::interval, now() + $11::interval)
    ON CONFLICT DO NOTHING
"""
INSERT_ORDERED = f"{INSERT}, CASE WHEN ordering_key IS NOT NULL THEN {LOCK}::text END"


class NewJob(NamedTuple):
    """A job that is not on the queue yet."""

    handler: str
    message_id: UUID
    version: int
    payload: bytes
    priority: int
    is_limited: bool
    ordering_key: str | None
    request_id: str
    traceparent: str


async def insert(connection: Connection, jobs: Sequence[NewJob], delay: timedelta = NOW, key: str | None = None) -> int:
    """Queue jobs in one statement, and one more with ordering keys; return how many were not there already."""
    if len(jobs) == 1 and jobs[0].ordering_key is None:
        return int((await connection.execute(INSERT_ONE, *jobs[0], key, delay)).removeprefix("INSERT 0 "))
    is_ordered = any(job.ordering_key is not None for job in jobs)
    if is_ordered:  # so that two transactions lock their keys in the same order
        jobs = sorted(jobs, key=lambda job: (job.handler, job.ordering_key or ""))
    statement = INSERT_ORDERED if is_ordered else INSERT
    queued = await connection.fetch(statement, *map(list, zip(*jobs, strict=True)), key, delay)
    await advance(connection, [(row["handler"], row["ordering_key"]) for row in queued])
    return len(queued)


class Transaction:
    """One database transaction, on whose behalf it runs, and the messages that are queued with it."""

    def __init__(self, connection: Connection, caller: Caller, jobs: Mapping[type[Payload], Sequence[str]]) -> None:
        self.connection = connection
        self.caller = caller
        # Whether workers have something to do after the commit.
        self.has_news = False
        self._jobs = jobs

    async def publish(self, *messages: Message) -> None:
        """Queue one job for each handler of each message, in one statement of this transaction.

        A message whose job of a handler is still there, as a dead letter too, is not queued again for that handler.
        """
        await self._queue(messages)

    async def enqueue(self, task: Task, *, delay: timedelta = NOW, key: str | None = None) -> bool:
        """Queue a task to run in `delay`; return False if one with this key is waiting or running.

        Without a key there may be any number.
        """
        return await self._queue([task], delay, key) > 0

    async def _queue(self, messages: Sequence[Message], delay: timedelta = NOW, key: str | None = None) -> int:
        jobs = [
            NewJob(
                name,
                message.id,
                message.delivery.version,
                message.model_dump_json().encode(),
                message.delivery.priority,
                message.delivery.concurrency > 0,
                message.ordering_key,
                self.caller.request_id,
                self.caller.traceparent,
            )
            for message in messages
            for name in self._jobs.get(type(message), ())
        ]
        queued = await insert(self.connection, jobs, delay, key) if jobs else 0
        self.has_news |= queued > 0
        return queued
