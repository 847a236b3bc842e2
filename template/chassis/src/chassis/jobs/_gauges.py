"""The gauges of the queue and of schedules, which each worker reads from the database."""
# ruff: noqa: S608  # all statements are made of constants

from collections.abc import Sequence

from chassis.data import Database
from chassis.ops import metrics

# Jobs of one handler and state, so that the cost of a backlog is bounded.
MAX_COUNTED = 50_000

_WAITS = "worker IS NULL AND dead_at IS NULL"
_DEAD = "dead_at IS NOT NULL"
# In this order and with these settings, each count walks along an index as far as its limit. The planner, which expects
# of each handler as many jobs as of all others, would read and sort the whole backlog of one.
ALONG_INDEXES = "; ".join(f"SET LOCAL enable_{way} = off" for way in ("bitmapscan", "seqscan", "sort"))
_DUE = f"""
    SELECT due_at FROM chassis_jobs
    WHERE {_WAITS} AND handler = job.handler AND due_at <= now() ORDER BY due_at LIMIT
"""
_DEAD_LETTERS = f"SELECT FROM chassis_jobs WHERE {_DEAD} AND handler = job.handler ORDER BY dead_at LIMIT"
_NEXT = ", ".join(
    f"(SELECT min(handler) FROM chassis_jobs WHERE {place} AND handler > found.handler)" for place in (_WAITS, _DEAD)
)

# $1 are the handlers of this worker. Handlers unknown to this worker are found by one index probe per name.
JOBS = f"""
    WITH RECURSIVE found (handler) AS (
        VALUES ('') UNION ALL SELECT least({_NEXT}) FROM found WHERE handler IS NOT NULL
    ), running AS (
        SELECT handler, count(*) AS jobs FROM chassis_jobs
        WHERE worker IS NOT NULL AND dead_at IS NULL GROUP BY handler
    ), job (handler) AS (
        SELECT unnest($1::text[]) UNION SELECT handler FROM found WHERE handler <> '' UNION SELECT handler FROM running
    )
    SELECT handler,
        (SELECT count(*) FROM ({_DUE} {MAX_COUNTED}) AS due) AS waiting,
        coalesce((SELECT jobs FROM running WHERE running.handler = job.handler), 0) AS running,
        coalesce((SELECT extract(epoch FROM now() - due_at) FROM ({_DUE} 1) AS oldest), 0)::float AS oldest_age,
        (SELECT count(*) FROM ({_DEAD_LETTERS} {MAX_COUNTED}) AS dead) AS dead_letters
    FROM job
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
