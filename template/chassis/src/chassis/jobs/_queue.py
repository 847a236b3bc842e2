"""The queue: tables and claims are pgqueuer's; what ends a claim is ours, and holds only for the worker that has it.

A claim counts a run before it begins, so that a job which kills its worker is not tried for ever. A worker that was
frozen beyond its lease has lost its claims: it completes, retries and holds nothing, and its transactions roll back.
What names a claim is the worker and the number of the run: the same worker may get the same job again, while the end
of its lost run is still on its way.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple, override
from uuid import UUID

import structlog
from pgqueuer.adapters.persistence.composer import ComposedQuery
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import JOB_STATUS, Channel
from pgqueuer.models import Job, TracebackRecord
from pgqueuer.ports.driver import Driver

from chassis.data import Connection
from chassis.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)

# Named here, since pgqueuer would also read them from variables as common as CHANNEL and FUNCTION.
QUEUE = DBSettings(
    prefix="",
    db_schema=None,
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
)
QUEUE_SQL = QueryBuilderEnvironment(QUEUE)

# What the library's statement claims by, and how it finds what the worker has; $4 is its lease.
CLAIM = "SET status = 'picked',"
LOAD = "WHERE queue_manager_id = $3"
# What its statements look for jobs by.
DUE, QUEUED = "AND candidate.execute_after < NOW()", "AND status = 'queued'"

# Nobody takes a locked row, so the claim still holds at the commit that follows.
HOLDS_CLAIM = "SELECT true FROM pgqueuer WHERE id = $1 AND queue_manager_id = $2 AND attempts = $3 FOR UPDATE"

END = """
    WITH ended AS (
        SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::int[], $4::pgqueuer_status[], $5::jsonb[])
            AS ended (id, owner, run, status, traceback)
    ), deleted AS (
        DELETE FROM pgqueuer AS job USING ended
        WHERE job.id = ended.id AND job.queue_manager_id = ended.owner AND job.attempts = ended.run
            AND ended.status = 'successful'
        RETURNING job.id, job.entrypoint, job.priority
    ), held AS (
        UPDATE pgqueuer AS job SET status = 'failed', updated = now(), queue_manager_id = NULL FROM ended
        WHERE job.id = ended.id AND job.queue_manager_id = ended.owner AND job.attempts = ended.run
            AND ended.status = 'failed'
        RETURNING job.id, job.entrypoint, job.priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, ended.status, entrypoint, priority, ended.traceback
    FROM (SELECT * FROM deleted UNION ALL SELECT * FROM held) AS done JOIN ended USING (id)
"""

RETRY = """
    WITH retried AS (
        UPDATE pgqueuer
        SET status = 'queued', execute_after = now() + $4::interval, updated = now(), queue_manager_id = NULL
        WHERE id = $1 AND queue_manager_id = $2 AND attempts = $3 RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, 'queued', entrypoint, priority, $5::jsonb FROM retried
"""

PUT_BACK = """
    UPDATE pgqueuer
    SET status = 'queued', execute_after = now() + $4::interval, updated = now(), queue_manager_id = NULL,
        attempts = attempts - 1
    WHERE id = $1 AND queue_manager_id = $2 AND attempts = $3
"""

COUNT_EARLIER = """
    SELECT count(*) FROM (
        SELECT FROM pgqueuer
        WHERE entrypoint = $1 AND headers ? 'ordering_key' AND headers ->> 'ordering_key' = $2 AND id < $3
            AND status <> 'failed'
        LIMIT 50
    ) AS earlier
"""

# Waiting, or claimed by a worker that ended: no worker of today would take them.
DEAD_LETTER_UNKNOWN = """
    WITH held AS (
        UPDATE pgqueuer SET status = 'failed', updated = now(), queue_manager_id = NULL
        WHERE entrypoint <> ALL($1::text[]) AND status IN ('queued', 'picked')
            AND greatest(execute_after, heartbeat) < now() - $2::interval
        RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, 'failed', entrypoint, priority, jsonb_build_object(
        'job_id', id, 'timestamp', now(), 'exception_type', 'UnknownTask', 'traceback', '', 'additional_context', NULL,
        'exception_message', 'no worker knows ' || entrypoint
    ) FROM held
    RETURNING entrypoint
"""


class Claim(NamedTuple):
    """One run of a job by one worker; `run` is its number, from 1."""

    job_id: int
    owner: UUID
    run: int


class ClaimLost(Exception):
    """The job was given to another worker, since this one was silent for longer than its lease."""


class Snooze(RetryRequested):
    """Puts a job back without counting the run: it was interrupted, or it is not its turn."""


@dataclass
class ClaimBuilder(QueryQueueBuilder):
    """Counts a run in the statement that claims its job; `attempts` is the number of this run, from 1.

    Claims that a worker has lost sight of, as when the answer was cut off, hold it up no longer than its lease.
    Jobs of handlers that rest are left on the queue.
    """

    resting: Callable[[], Collection[str]] = tuple

    @override
    def build_dequeue_query(self, **arguments: Any) -> ComposedQuery:
        query = super().build_dequeue_query(**arguments)
        sql = _insert(query.sql, LOAD, " AND heartbeat > now() - $4::interval")
        sql = _insert(sql, CLAIM, " attempts = attempts + 1,")
        return replace(query, sql=self._without_resting(sql, DUE, "candidate.entrypoint"))

    @override
    def build_has_eligible_queued_work(self) -> str:
        return self._without_resting(super().build_has_eligible_queued_work(), QUEUED, "entrypoint")

    @override
    def build_has_queued_work(self) -> str:
        return self._without_resting(super().build_has_queued_work(), QUEUED, "entrypoint")

    def _without_resting(self, sql: str, after: str, name: str) -> str:
        resting = sorted(self.resting())
        if not resting:
            return sql
        names = ", ".join(f"'{each}'" for each in resting)  # names of functions have no quotes
        return sql.replace(after, f"{after} AND {name} NOT IN ({names})")


def _insert(sql: str, after: str, more: str) -> str:
    end = sql.index(after) + len(after)
    return f"{sql[:end]}{more}{sql[end:]}"


QUEUE_BUILDER = ClaimBuilder(QUEUE)
_SCHEDULER_BUILDER = QuerySchedulerBuilder(QUEUE)


class ClaimQueries(Queries):
    """pgqueuer's queries, but for those by which a worker ends a claim."""

    @override
    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """End jobs: those that are done leave, the failed ones stay as dead letters."""
        await self.driver.execute(
            END,
            [job.id for job, _, _ in job_status],
            [job.queue_manager_id for job, _, _ in job_status],
            [job.attempts for job, _, _ in job_status],
            [status for _, status, _ in job_status],
            [as_json(record) for _, _, record in job_status],
        )

    @override
    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """Put a job back; when the database is unavailable, the job is due again after its lease."""
        claim = (job.id, job.queue_manager_id, job.attempts, delay)
        try:
            if traceback_record and traceback_record.exception_type == Snooze.__name__:
                await self.driver.execute(PUT_BACK, *claim)
            else:
                await self.driver.execute(RETRY, *claim, as_json(traceback_record))
        except Unavailable:
            log.warning("job keeps its lease, database unavailable", job=job.entrypoint)


def as_json(record: TracebackRecord | None) -> str | None:
    """Write what went wrong as jsonb takes it, without NUL and halves of surrogate pairs."""
    if record is None:
        return None
    told = {"exception_message": _storable(record.exception_message), "traceback": _storable(record.traceback)}
    return record.model_copy(update=told).model_dump_json()


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def queries(driver: Driver, builder: ClaimBuilder = QUEUE_BUILDER) -> ClaimQueries:
    """Give the queries over `driver`, with the names of QUEUE."""
    return ClaimQueries(driver, QUEUE_SQL, builder, _SCHEDULER_BUILDER)


async def check_claim(connection: Connection, claim: Claim) -> None:
    """Make sure, until the transaction ends, that the job is still this worker's. Raises ClaimLost."""
    if not await connection.fetchval(HOLDS_CLAIM, *claim):
        raise ClaimLost


async def count_earlier(connection: Connection, job_id: int, name: str, ordering_key: str) -> int:
    """Count, up to 50, the jobs of a handler and a key that were queued before this one and are not done."""
    count: int = await connection.fetchval(COUNT_EARLIER, name, ordering_key, job_id)
    return count


async def dead_letter_unknown(connection: Connection, known: Iterable[str], age: timedelta) -> list[str]:
    """Make dead letters of jobs that have been due for `age` and that no handler of this release has a name for."""
    return [row["entrypoint"] for row in await connection.fetch(DEAD_LETTER_UNKNOWN, list(known), age)]
