"""Ordering keys: of the jobs of a handler with one key, only the head can be claimed, and the others wait.

Who adds or ends a job of a key first takes the lock of the key, and then lets the next head run: in a statement of its
own, whose snapshot has what the previous holder of the lock committed.
"""

from collections.abc import Iterable

from chassis.data import Connection

# Of a row with an ordering key, until the end of the transaction.
LOCK = "pg_advisory_xact_lock(hashtextextended(handler || ' ' || ordering_key, 0))"

# A head that is claimed or waits for its next attempt sorts first, and is then left alone.
ADVANCE = """
    UPDATE chassis_jobs SET is_waiting = false, run_at = greatest(run_at, now())
    WHERE is_waiting AND id IN (
        SELECT (
            SELECT id FROM chassis_jobs AS job
            WHERE job.handler = wanted.handler AND job.ordering_key = wanted.ordering_key AND dead_at IS NULL
            ORDER BY is_waiting, id LIMIT 1
        )
        FROM unnest($1::text[], $2::text[]) AS wanted (handler, ordering_key)
    )
"""


async def advance(connection: Connection, keys: Iterable[tuple[str, str | None]]) -> None:
    """Let the first job of each handler and ordering key run, if no job with that key can be claimed already."""
    if found := sorted({(handler, key) for handler, key in keys if key is not None}):
        handlers, ordering_keys = zip(*found, strict=True)
        await connection.execute(ADVANCE, handlers, ordering_keys)
