"""The SQL of the command `jobs`: what an operator asks of the queue, and does to dead letters."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from chassis.data import Connection
from chassis.jobs._ordering import LOCK, advance
from chassis.jobs._outbox import NOTIFY

_STATUS = "CASE WHEN dead_at IS NOT NULL THEN 'dead' WHEN worker IS NULL THEN 'queued' ELSE 'running' END"
# A dead letter is as old as its end, any other job as its message.
_SINCE = "coalesce(dead_at, created_at)"
# Four arguments of each statement, and no limit where one is null.
_SELECTED = f"""
    ($1::bigint[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR handler = $2)
    AND ($3::interval IS NULL OR {_SINCE} <= now() - $3) AND ($4::interval IS NULL OR {_SINCE} > now() - $4)
"""

LIST = f"""
    WITH selected AS (
        SELECT id, handler, {_STATUS} AS status, attempt, created_at, run_at, dead_at, {_SINCE} AS since, errors
        FROM chassis_jobs WHERE ($5::text IS NULL OR {_STATUS} = $5) AND {_SELECTED}
    )
    SELECT id, handler, status, attempt, created_at, run_at, dead_at, now() - since AS age,
        concat_ws(': ', errors -> -1 ->> 'type', errors -> -1 ->> 'message') AS error,
        (SELECT count(*) FROM selected) AS found
    FROM selected ORDER BY since DESC, id DESC LIMIT $6
"""  # noqa: S608  # made of constants

GET = f"""
    SELECT id, handler, {_STATUS} AS status, message_id, version, attempt, priority, key, ordering_key, is_waiting,
        created_at, due_at, run_at, dead_at, worker, request_id, substr(traceparent, 4, 32) AS trace_id,
        payload, errors
    FROM chassis_jobs WHERE id = $1
"""  # noqa: S608  # made of constants

# Only one job with a key may be queued. If none is, the oldest dead letter with that key is retried.
RETRY = f"""
    WITH chosen AS (
        SELECT DISTINCT ON (handler, key, CASE WHEN key IS NULL THEN id END) id FROM chassis_jobs AS job
        WHERE dead_at IS NOT NULL AND {_SELECTED} AND NOT EXISTS (
            SELECT FROM chassis_jobs AS other
            WHERE other.handler = job.handler AND other.key = job.key AND other.dead_at IS NULL
        )
        ORDER BY handler, key, CASE WHEN key IS NULL THEN id END, id
    )
    UPDATE chassis_jobs
    SET dead_at = NULL, attempt = 0, crashes = 0, due_at = now(), run_at = now(), is_waiting = ordering_key IS NOT NULL
    WHERE dead_at IS NOT NULL AND id IN (SELECT id FROM chosen)
    RETURNING id, handler, ordering_key, CASE WHEN ordering_key IS NOT NULL THEN {LOCK}::text END
"""  # noqa: S608  # made of constants

DISCARD = f"""
    WITH discarded AS (
        DELETE FROM chassis_jobs WHERE dead_at IS NOT NULL AND {_SELECTED} RETURNING id, handler, message_id
    ), given_up AS (
        UPDATE chassis_tracked_jobs AS job SET has_succeeded = false, updated_at = now() FROM discarded
        WHERE job.id = discarded.message_id
    )
    SELECT id, handler FROM discarded ORDER BY id
"""  # noqa: S608  # made of constants


class Selection(NamedTuple):
    """Which jobs are meant: all of these at once, where they are not None."""

    ids: Sequence[int] | None = None
    handler: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None


class Acted(NamedTuple):
    """A job that something was done to."""

    id: int
    handler: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A job in short; `error` is how its last attempt failed."""

    id: int
    handler: str
    status: str
    attempt: int
    created_at: datetime
    run_at: datetime
    dead_at: datetime | None
    age: timedelta
    error: str


async def find(
    connection: Connection, selection: Selection, status: str | None, limit: int
) -> tuple[Sequence[Listed], int]:
    """Read at most `limit` jobs, the last dead letters and messages first, and count how many there are in all."""
    rows = await connection.fetch(LIST, *selection, status, limit)
    return [Listed(*tuple(row)[:-1]) for row in rows], rows[0]["found"] if rows else 0


async def get(connection: Connection, job_id: int) -> dict[str, Any] | None:
    """Read all there is of a job, with its last errors."""
    row = await connection.fetchrow(GET, job_id)
    return None if row is None else {**row, "errors": json.loads(row["errors"])}


async def retry(connection: Connection, selection: Selection) -> Sequence[Acted]:
    """Put dead letters back on the queue, with all their attempts before them."""
    rows = await connection.fetch(RETRY, *selection)
    await advance(connection, [(row["handler"], row["ordering_key"]) for row in rows])
    await connection.execute(NOTIFY)
    return sorted(Acted(row["id"], row["handler"]) for row in rows)


async def discard(connection: Connection, selection: Selection) -> Sequence[Acted]:
    """Delete dead letters."""
    return [Acted(*row) for row in await connection.fetch(DISCARD, *selection)]
