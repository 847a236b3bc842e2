"""The gauges of the queue and of schedules, which each worker reads from the database."""
# ruff: noqa: S608  # all statements are made of constants

from collections.abc import Sequence

from chassis.data import Database
from chassis.jobs._messages import PRIORITIES
from chassis.ops import metrics

# Due jobs of one priority, or of one handler with a limit, and dead letters of one handler: the cost of a backlog is
# bounded. Of jobs behind so many older ones nothing is known.
MAX_COUNTED = 50_000

_WAITS = "worker IS NULL AND dead_at IS NULL AND NOT is_waiting"
_LIMITED = f"{_WAITS} AND is_limited"
_DEAD = "dead_at IS NOT NULL"
# With these settings, each count walks along an index as far as its limit. The planner, which expects of each handler
# as many jobs as of all others, would read and sort the whole backlog of one.
ALONG_INDEXES = "; ".join(f"SET LOCAL enable_{way} = off" for way in ("bitmapscan", "seqscan", "sort"))
_DUE = " UNION ALL ".join(
    f"""
        (SELECT handler, due_at FROM chassis_jobs
        WHERE {_WAITS} AND NOT is_limited AND priority = {priority} AND run_at <= now()
        ORDER BY run_at LIMIT {MAX_COUNTED})
    """
    for priority in PRIORITIES
)


def _handlers(name: str, place: str) -> str:
    """Find the handlers of a place by one probe of an index for each, in the recursive query `name`."""
    return f"""
        VALUES ('') UNION ALL
        SELECT (SELECT min(job.handler) FROM chassis_jobs AS job WHERE {place} AND job.handler > {name}.handler)
        FROM {name} WHERE handler IS NOT NULL
    """


# $1 are the handlers of this worker; others, as of an older release, are shown while they have jobs.
JOBS = f"""
    WITH RECURSIVE limited (handler) AS (
        {_handlers("limited", _LIMITED)}
    ), dead (handler) AS (
        {_handlers("dead", _DEAD)}
    ), due AS (
        {_DUE} UNION ALL
        SELECT due.handler, due.due_at
        FROM limited CROSS JOIN unnest(ARRAY{[*PRIORITIES]}) AS of (priority) CROSS JOIN LATERAL (
            SELECT handler, due_at FROM chassis_jobs
            WHERE {_LIMITED} AND handler = limited.handler AND priority = of.priority AND run_at <= now()
            ORDER BY run_at LIMIT {MAX_COUNTED}
        ) AS due UNION ALL
        (SELECT handler, due_at FROM chassis_jobs
        WHERE ordering_key IS NOT NULL AND dead_at IS NULL AND is_waiting LIMIT {MAX_COUNTED})
    ), waiting AS (
        SELECT handler, count(*) AS jobs, min(due_at) AS since FROM due GROUP BY handler
    ), running AS (
        SELECT handler, count(*) AS jobs FROM chassis_jobs
        WHERE worker IS NOT NULL AND dead_at IS NULL GROUP BY handler
    ), job (handler) AS (
        SELECT unnest($1::text[]) UNION SELECT handler FROM waiting UNION SELECT handler FROM running
        UNION SELECT handler FROM dead WHERE handler <> ''
    )
    SELECT handler,
        coalesce(waiting.jobs, 0) AS waiting,
        coalesce(running.jobs, 0) AS running,
        coalesce(greatest(extract(epoch FROM now() - since), 0), 0)::float AS oldest_age,
        (
            SELECT count(*) FROM (
                SELECT FROM chassis_jobs WHERE {_DEAD} AND handler = job.handler ORDER BY dead_at LIMIT {MAX_COUNTED}
            ) AS dead
        ) AS dead_letters
    FROM job LEFT JOIN waiting USING (handler) LEFT JOIN running USING (handler)
"""

# $1 are the schedules of this release; the rows of others are not deleted.
SCHEDULES = """
    SELECT name, greatest(extract(epoch FROM now() - due_at), 0)::float AS lag FROM chassis_schedules
    WHERE name = ANY($1::text[]) AND due_at IS NOT NULL
"""


async def read_gauges(database: Database, handlers: Sequence[str], schedules: Sequence[str]) -> None:
    """Refresh all gauges. If that raises Unavailable, they are removed rather than left stale."""
    try:
        async with database.transaction() as connection:
            await connection.execute(ALONG_INDEXES)
            jobs = await connection.fetch(JOBS, handlers)
            lags = await connection.fetch(SCHEDULES, schedules)
    finally:
        for gauge in (*metrics.OF_JOBS.values(), metrics.SCHEDULE_LAG):
            gauge.clear()
    for job in jobs:
        for name, gauge in metrics.OF_JOBS.items():
            gauge.labels(job["handler"]).set(job[name])
    for schedule in lags:
        metrics.SCHEDULE_LAG.labels(schedule["name"]).set(schedule["lag"])
