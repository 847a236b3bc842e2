"""Deletes what is old of what grows, in batches and by one worker: idempotency keys, inbox, queue log, tracked jobs.

It also dead-letters jobs that no handler takes, which would otherwise wait without end.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta

import asyncpg
import structlog

from chassis.data import Database
from chassis.errors import Unavailable
from chassis.jobs._queue import dead_letter_unknown
from chassis.settings import Settings

log = structlog.stdlib.get_logger(__name__)

# One for each statement, until the transaction ends; the worker that does not get it leaves the rest to the other.
LOCK = "SELECT pg_try_advisory_xact_lock(hashtext($1))"

DELETE_IDEMPOTENCY_KEYS = """
    DELETE FROM chassis_idempotency_keys WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM chassis_idempotency_keys WHERE created_at < now() - $1::interval
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""

# A message that may come again is on the queue still, waiting or dead-lettered: its inbox row must outlive it.
DELETE_INBOX = """
    DELETE FROM chassis_inbox WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM chassis_inbox
        WHERE received_at < least(now(), (SELECT min(created) FROM pgqueuer)) - $1::interval
        ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""

DELETE_QUEUE_LOG = """
    DELETE FROM pgqueuer_log WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM pgqueuer_log WHERE created < now() - $1::interval
        ORDER BY created LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""

# One that is a dead letter may yet succeed.
DELETE_TRACKED_JOBS = """
    DELETE FROM chassis_tracked_jobs WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM chassis_tracked_jobs AS job WHERE updated_at < now() - $1::interval AND NOT EXISTS (
            SELECT FROM pgqueuer WHERE headers ? 'tracked' AND headers ->> 'tracked' = job.id::text
        )
        ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""

# As long as an idempotency key is valid.
KEYS_AGE = timedelta(hours=24)
BATCH = 1_000
# Longer than two releases run beside each other: the workers of the newer one know its jobs.
UNKNOWN_AGE = timedelta(hours=1)
# Less than an hour, so that a restart or an outage of the database skips no hour.
INTERVAL_SECONDS = 1_800.0


async def sweep(database: Database, settings: Settings, batch: int = BATCH) -> Mapping[str, int]:
    """Delete all that is older than its age, and answer how much of each; nothing while another worker does it."""
    history = timedelta(days=settings.retention_days)
    return {
        "idempotency_keys": await _delete(database, DELETE_IDEMPOTENCY_KEYS, KEYS_AGE, batch),
        "inbox": await _delete(database, DELETE_INBOX, history, batch),
        "queue_log": await _delete(database, DELETE_QUEUE_LOG, history, batch),
        "tracked_jobs": await _delete(database, DELETE_TRACKED_JOBS, history, batch),
    }


async def sweep_until(stop: asyncio.Event, database: Database, settings: Settings, known: Sequence[str]) -> None:
    """Sweep now and twice an hour until `stop` is set, the workers of one start not all at once.

    `known` are the names of this worker's handlers.
    """
    while not stop.is_set():
        try:
            log.info("sweep done", **await sweep(database, settings))
            async with database.transaction() as connection:
                for name in await dead_letter_unknown(connection, known, UNKNOWN_AGE):
                    log.error("job dead-lettered", job=name, reason="no handler has this name")
        except Unavailable:
            log.warning("sweep skipped, database unavailable")
        except asyncpg.PostgresError:
            log.exception("sweep failed")
        try:
            async with asyncio.timeout(INTERVAL_SECONDS * random.uniform(0.8, 1)):  # noqa: S311  # it spreads load
                await stop.wait()
        except TimeoutError:
            continue


async def _delete(database: Database, statement: str, age: timedelta, batch: int) -> int:
    """Delete batch after batch, a transaction each, so that none holds its locks for long."""
    deleted = 0
    while True:
        async with database.transaction() as connection:
            if not await connection.fetchval(LOCK, statement):
                return deleted
            done = int((await connection.execute(statement, age, batch)).split()[-1])
        deleted += done
        if done < batch:
            return deleted
