"""Deletes expired rows, in batches and by one worker, and dead-letters jobs without a handler."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from chassis.data import Database
from chassis.jobs._ordering import LOCK, advance
from chassis.jobs._queue import Failure
from chassis.settings import Settings

log = structlog.stdlib.get_logger(__name__)

# One for each statement, until the transaction ends; the worker that does not get it leaves the rest to the other.
LOCK_SWEEP = "SELECT pg_try_advisory_xact_lock(hashtext($1))"
BATCH = 1_000

# Of a job that is not done, a dead letter too, the progress is kept.
DELETE_TRACKED_JOBS = """
    DELETE FROM chassis_tracked_jobs WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM chassis_tracked_jobs AS job WHERE updated_at < now() - $1::interval
            AND NOT EXISTS (SELECT FROM chassis_jobs WHERE message_id = job.id)
        ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""

# Due for longer than two releases run beside each other: the workers of the newer one know its jobs.
UNKNOWN_AGE = timedelta(hours=1)
DEAD_LETTER_UNKNOWN = f"""
    UPDATE chassis_jobs SET dead_at = now(), worker = NULL, claim = claim + 1, errors = errors || $3::jsonb
    WHERE dead_at IS NULL AND handler <> ALL($1::text[]) AND run_at < now() - $2::interval
    RETURNING handler, ordering_key, CASE WHEN ordering_key IS NOT NULL THEN {LOCK}::text END
"""  # noqa: S608  # made of constants


@dataclass(frozen=True, slots=True)
class Retention:
    """Rows that grow old: a statement that deletes a batch, for which $1 is the age and $2 the size of the batch."""

    name: str
    statement: str
    # As RETENTION_DAYS says when it is None.
    age: timedelta | None = None


TRACKED_JOBS = Retention("tracked_jobs", DELETE_TRACKED_JOBS)


async def sweep(
    database: Database, retention: Iterable[Retention], settings: Settings, batch: int = BATCH
) -> Mapping[str, int]:
    """Delete all that is older than its age, and return how much of each; nothing while another worker does it."""
    history = timedelta(days=settings.retention_days)
    rules = (TRACKED_JOBS, *retention)
    swept = {rule.name: await _delete(database, rule.statement, rule.age or history, batch) for rule in rules}
    log.info("sweep done", **swept)
    return swept


async def _delete(database: Database, statement: str, age: timedelta, batch: int) -> int:
    """Delete batch after batch, a transaction each, so that none holds its locks for long."""
    deleted = 0
    while True:
        async with database.transaction() as connection:
            if not await connection.fetchval(LOCK_SWEEP, statement):
                return deleted
            done = int((await connection.execute(statement, age, batch)).split()[-1])
        deleted += done
        if done < batch:
            return deleted


async def dead_letter_unknown(database: Database, known: Sequence[str], age: timedelta = UNKNOWN_AGE) -> Sequence[str]:
    """Dead-letter jobs that have been due for `age` and whose handler this release does not have; return its names."""
    failure = Failure(0, "UnknownHandler", "no handler has this name").as_json()
    async with database.transaction() as connection:
        rows = await connection.fetch(DEAD_LETTER_UNKNOWN, known, age, failure)
        await advance(connection, [(row["handler"], row["ordering_key"]) for row in rows])
    for row in rows:
        log.error("job dead-lettered", job=row["handler"], reason="no handler has this name")
    return [row["handler"] for row in rows]
