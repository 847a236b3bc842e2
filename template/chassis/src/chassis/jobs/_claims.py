"""The SQL by which workers claim jobs.

A job that can be claimed has no worker; one that is claimed has a worker, and its `run_at` is the end of the lease. The
two have indexes of their own, and so have the jobs of handlers with a limit: what cannot be claimed now, however much
it is, is not read.
"""
# ruff: noqa: S608  # all statements are made of constants

from chassis.jobs._messages import PRIORITIES

_WAITS = "worker IS NULL AND dead_at IS NULL AND NOT is_waiting"
_UNLIMITED = f"{_WAITS} AND NOT is_limited"
_LIMITED = f"{_WAITS} AND is_limited"
_CLAIMED = "worker IS NOT NULL AND dead_at IS NULL"

_EXPIRED = f"""
    {_CLAIMED} AND run_at BETWEEN ($8::timestamptz[])[1] AND now() AND handler = ANY($6) AND id <> ALL($7::bigint[])
"""
_PLACES = [_CLAIMED, *(f"{_UNLIMITED} AND priority = {priority}" for priority in PRIORITIES)]
_DUE = " UNION ALL ".join(
    f"""
        SELECT id FROM (
            SELECT id FROM chassis_jobs
            WHERE {place} AND run_at BETWEEN ($8::timestamptz[])[{number}] AND now() AND handler = ANY($5)
            ORDER BY run_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ) AS due
    """
    for number, place in enumerate(_PLACES[1:], 2)
)
_NEXT = " UNION ALL ".join(
    f"SELECT min(run_at) FROM chassis_jobs WHERE {place} AND run_at > now() - $1::interval" for place in _PLACES
)
_FIRST = ", ".join(
    f"(SELECT least(min(run_at), now() - interval '1 second') FROM chassis_jobs WHERE {place})" for place in _PLACES
)

# A job whose lease has ended was due again then.
# By an array, for which the planner expects few rows: a join might read the whole table.
# Arguments of both claims: the worker, the length of its lease, how many jobs, and whether the worker is idle.
# The attempt is counted before it begins, or a job that kills its worker would be tried for ever. When the worker of an
# earlier claim has died, the attempt counts only if no other job ran beside it that may have been the cause.
_UPDATE = """
    UPDATE chassis_jobs
    SET worker = $1, claim = claim + 1, run_at = now() + $2::interval,
        due_at = CASE WHEN worker IS NULL THEN due_at ELSE run_at END,
        attempt = attempt + (worker IS NULL OR is_alone)::int,
        crashes = crashes + (worker IS NOT NULL AND NOT is_alone)::int,
        is_alone = $4 AND (SELECT count(*) FROM chosen) = 1
    WHERE id = ANY(ARRAY(SELECT id FROM chosen))
    RETURNING id, claim, handler, message_id, version, payload, priority, attempt, crashes, is_alone, ordering_key,
        request_id, traceparent, errors -> -1 ->> 'traceparent', greatest(extract(epoch FROM now() - due_at), 0)::float
"""


# $5 the handlers without a limit, $6 those with one too, $7 the jobs that run here, $8 the marks: where the scan of an
# index begins, so that it does not read what was deleted and cannot be vacuumed yet. Jobs whose worker has died run
# again together; of those whose next worker has died as well, one at a time, where $9 allows it.
CLAIM = f"""
    WITH crashed AS MATERIALIZED (
        SELECT id FROM (
            SELECT id FROM (
                SELECT id FROM chassis_jobs WHERE {_EXPIRED} AND crashes = 0
                ORDER BY run_at LIMIT $3 FOR UPDATE SKIP LOCKED
            ) AS once
            UNION ALL
            SELECT id FROM (
                SELECT id FROM chassis_jobs WHERE {_EXPIRED} AND crashes > 0 AND $9
                ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED
            ) AS again
        ) AS crashed LIMIT $3
    ), due AS MATERIALIZED (
        SELECT id FROM ({_DUE}) AS due LIMIT $3 - (SELECT count(*) FROM crashed)
    ), chosen AS MATERIALIZED (
        SELECT id FROM crashed UNION ALL SELECT id FROM due
    )
    {_UPDATE}
"""

# $5 handlers, $6 the limit of each. A claimed job keeps its place also when its lease has ended, until it is claimed
# again. A handler of which another has claimed jobs since the snapshot of this statement is left out: they would not be
# counted.
CLAIM_LIMITED = f"""
    WITH wanted AS MATERIALIZED (
        SELECT handler, most - (
            SELECT count(*) FROM chassis_jobs AS job WHERE {_CLAIMED} AND job.handler = wanted.handler
        ) AS free
        FROM unnest($5::text[], $6::int[]) AS wanted (handler, most)
    ), locked AS (
        INSERT INTO chassis_job_limits AS limits (handler, claimed_by)
        SELECT handler, pg_current_xact_id() FROM wanted
        WHERE free > 0 AND (
            SELECT true FROM chassis_jobs AS job
            WHERE {_LIMITED} AND job.handler = wanted.handler AND run_at <= now()
            ORDER BY priority DESC, run_at LIMIT 1
        )
        ORDER BY handler
        ON CONFLICT (handler) DO UPDATE SET claimed_by = excluded.claimed_by
        WHERE pg_visible_in_snapshot(limits.claimed_by, pg_current_snapshot())
        RETURNING handler
    ), chosen AS MATERIALIZED (
        SELECT due.id FROM locked JOIN wanted USING (handler) CROSS JOIN LATERAL (
            SELECT id FROM chassis_jobs AS job
            WHERE {_LIMITED} AND job.handler = locked.handler AND run_at <= now()
            ORDER BY priority DESC, run_at LIMIT wanted.free FOR UPDATE SKIP LOCKED
        ) AS due
        LIMIT $3
    )
    {_UPDATE}
"""

# For a worker that has nothing to claim. It moves jobs whose handler ($2 without a limit, $3 with one) has got or lost
# its limit since they were queued. It returns the seconds until the next job is due or the next lease ends, also of
# those that came due in the last $1.
IDLE = f"""
    WITH moved AS (
        UPDATE chassis_jobs SET is_limited = NOT is_limited WHERE id = ANY(ARRAY(
            SELECT id FROM chassis_jobs WHERE {_LIMITED} AND handler = ANY($2)
            UNION ALL
            SELECT id FROM chassis_jobs WHERE {_UNLIMITED} AND run_at <= now() AND handler = ANY($3)
        ))
    )
    SELECT extract(epoch FROM min(run_at) - now())::float FROM (
        {_NEXT}
    ) AS next (run_at)
"""

# A job is as old as the begin of its transaction, and is seen after its commit. One that took longer than a second may
# be before the mark, and is found when the marks are set again.
MARKS = f"SELECT ARRAY[{_FIRST}]"

# Rows that another statement has locked are at their end.
RENEW = """
    WITH held AS (
        SELECT job.id FROM chassis_jobs AS job JOIN unnest($1::bigint[], $2::bigint[]) AS held (id, claim)
            ON job.id = held.id AND job.claim = held.claim
        FOR UPDATE OF job SKIP LOCKED
    )
    UPDATE chassis_jobs AS job SET run_at = now() + $3::interval FROM held WHERE job.id = held.id
"""
