"""The SQL of the dead letter: what a person asks of the queue, and does to the jobs that failed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from asyncpg import Record

from chassis.data import Connection

# Four arguments of each statement, and no limit where one is null. A job is as old as its status.
_SELECTED = """
    ($1::bigint[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR entrypoint = $2)
    AND ($3::interval IS NULL OR updated <= now() - $3) AND ($4::interval IS NULL OR updated > now() - $4)
"""

LIST = f"""
    WITH selected AS (
        SELECT id, entrypoint, status, attempts, created, updated, execute_after FROM pgqueuer
        WHERE ($5::text IS NULL OR status::text = $5) AND {_SELECTED}
    )
    SELECT id, entrypoint, status::text, attempts, created, updated, execute_after, now() - updated AS age,
        (SELECT error FROM pgqueuer_log AS log, concat_ws(': ', traceback ->> 'exception_type',
            traceback ->> 'exception_message') AS error
        WHERE job_id = page.id AND traceback IS NOT NULL ORDER BY log.created DESC, log.id DESC LIMIT 1) AS error,
        (SELECT count(id) FROM selected) AS found
    FROM (
        SELECT id, entrypoint, status, attempts, created, updated, execute_after FROM selected
        ORDER BY updated DESC, id DESC LIMIT $6
    ) AS page
    ORDER BY updated DESC, id DESC
"""  # noqa: S608  # made of constants

GET = """
    SELECT id, entrypoint AS task, status::text, attempts, priority, dedupe_key AS key, created AS created_at,
        updated AS updated_at, execute_after, heartbeat, queue_manager_id AS worker, headers, payload
    FROM pgqueuer WHERE id = $1
"""

HISTORY = """
    SELECT created, status::text, traceback ->> 'exception_type' AS type, traceback ->> 'exception_message' AS message,
        traceback ->> 'traceback' AS traceback
    FROM pgqueuer_log WHERE job_id = $1 ORDER BY created, id
"""

# Of jobs with one key no more than one may wait: one that waits already stays that one, else the oldest becomes it.
RETRY = f"""
    WITH chosen AS (
        SELECT DISTINCT ON (dedupe_key, CASE WHEN dedupe_key IS NULL THEN id END) id FROM pgqueuer AS job
        WHERE status = 'failed' AND {_SELECTED} AND NOT EXISTS (
            SELECT FROM pgqueuer AS other
            WHERE other.dedupe_key = job.dedupe_key AND other.status IN ('queued', 'picked')
        )
        ORDER BY dedupe_key, CASE WHEN dedupe_key IS NULL THEN id END, id
    ), retried AS (
        UPDATE pgqueuer
        SET status = 'queued', attempts = 0, execute_after = now(), updated = now(), queue_manager_id = NULL
        WHERE status = 'failed' AND id IN (SELECT id FROM chosen)
        RETURNING id, entrypoint, priority
    ), logged AS (
        INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
        SELECT id, 'queued', entrypoint, priority FROM retried
    )
    SELECT id, entrypoint FROM retried ORDER BY id
"""  # noqa: S608  # made of constants

DISCARD = f"""
    WITH discarded AS (
        DELETE FROM pgqueuer WHERE status = 'failed' AND {_SELECTED} RETURNING id, entrypoint, priority, headers
    ), given_up AS (
        UPDATE chassis_tracked_jobs AS job SET has_succeeded = false, updated_at = now() FROM discarded
        WHERE discarded.headers ? 'tracked' AND job.id = (discarded.headers ->> 'tracked')::uuid
    ), logged AS (
        INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
        SELECT id, 'deleted', entrypoint, priority FROM discarded
    )
    SELECT id, entrypoint FROM discarded ORDER BY id
"""  # noqa: S608  # made of constants


class Selection(NamedTuple):
    """Which jobs are meant: all of these at once, where they are not None."""

    ids: Sequence[int] | None = None
    task: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None


class Acted(NamedTuple):
    """A job that something was done to."""

    id: int
    task: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A job in short; `error` is how its last run failed."""

    id: int
    task: str
    status: str
    attempts: int
    created_at: datetime
    updated_at: datetime
    execute_after: datetime
    age: timedelta
    error: str | None


async def find(
    connection: Connection, selection: Selection, status: str | None, limit: int
) -> tuple[Sequence[Listed], int]:
    """Read at most `limit` jobs, those that changed last first, and count how many there are in all."""
    rows = await connection.fetch(LIST, *selection, status, limit)
    return [Listed(*tuple(row)[:-1]) for row in rows], rows[0]["found"] if rows else 0


async def get(connection: Connection, job_id: int) -> dict[str, Any] | None:
    """Read all there is of a job, with its history from the first day on."""
    row = await connection.fetchrow(GET, job_id)
    if row is None:
        return None
    history = [_happened(each) for each in await connection.fetch(HISTORY, job_id)]
    headers = json.loads(row["headers"]) if row["headers"] else {}
    return {**row, "headers": headers, "history": history}


async def retry(connection: Connection, selection: Selection) -> Sequence[Acted]:
    """Put failed jobs back on the queue, with all their attempts before them."""
    return [Acted(*row) for row in await connection.fetch(RETRY, *selection)]


async def discard(connection: Connection, selection: Selection) -> Sequence[Acted]:
    """Take failed jobs off the queue; their history stays."""
    return [Acted(*row) for row in await connection.fetch(DISCARD, *selection)]


def _happened(row: Record) -> dict[str, Any]:
    error = {name: row[name] for name in ("type", "message", "traceback")}
    return {"at": row["created"], "status": row["status"], "error": error if row["type"] else None}
