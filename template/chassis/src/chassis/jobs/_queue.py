"""The queue as a worker uses it: one table, from which it claims jobs, and in which it ends its claims.

Whatever ends or renews a claim names its number, which only grows, also at the end. So nothing is changed by a worker
that was frozen beyond its lease, by a late renewal, or by an end that is repeated because its answer was lost.
"""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.data import Connection, Database
from chassis.jobs._claims import CLAIM, CLAIM_LIMITED, IDLE, MARKS, RENEW
from chassis.jobs._messages import PRIORITIES
from chassis.jobs._ordering import LOCK, advance
from chassis.ops import redact

# Nobody claims a locked row, so the claim still holds at the commit that follows.
HOLDS = "SELECT FROM chassis_jobs WHERE id = $1 AND claim = $2 FOR NO KEY UPDATE"

COMPLETE = "DELETE FROM chassis_jobs WHERE id = $1 AND claim = $2"
COMPLETE_ORDERED = f"{COMPLETE} RETURNING {LOCK}"
COMPLETE_ALL = """
    DELETE FROM chassis_jobs AS job USING unnest($1::bigint[], $2::bigint[]) AS ended (id, claim)
    WHERE job.id = ended.id AND job.claim = ended.claim RETURNING job.id
"""

# Some errors are kept, the last ones.
_ERRORS = "CASE WHEN jsonb_array_length(errors) < 10 THEN errors ELSE errors - 0 END"
RELEASE = f"""
    UPDATE chassis_jobs
    SET worker = NULL, claim = claim + 1, crashes = $5, is_alone = false, due_at = now() + $3::interval,
        run_at = now() + $3::interval, attempt = attempt - ($4::jsonb IS NULL)::int,
        errors = coalesce({_ERRORS} || $4::jsonb, errors)
    WHERE id = $1 AND claim = $2
"""  # noqa: S608  # made of constants
DEAD_LETTER = f"""
    UPDATE chassis_jobs
    SET worker = NULL, claim = claim + 1, crashes = 0, is_alone = false, dead_at = now(),
        errors = {_ERRORS} || $3::jsonb
    WHERE id = $1 AND claim = $2
"""  # noqa: S608  # made of constants
DEAD_LETTER_ORDERED = f"{DEAD_LETTER} RETURNING {LOCK}"

SET_ALONE = "UPDATE chassis_jobs SET is_alone = $3 WHERE id = $1 AND claim = $2"

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# Characters of a message and of a traceback, which ends with what matters.
MAX_TEXT = 4_000


class ClaimLost(Exception):
    """The job was given to another worker, since this one was silent for longer than its lease."""


class Claimed(NamedTuple):
    """A job as one worker has claimed it; `attempt` counts from 1."""

    id: int
    claim: int
    handler: str
    message_id: UUID
    version: int
    payload: bytes
    priority: int
    attempt: int
    # How often in a row its worker died while other jobs ran beside it.
    crashes: int
    is_alone: bool
    ordering_key: str | None
    request_id: str
    # The span that caused the job, and that of the last attempt which failed.
    traceparent: str
    failed_traceparent: str | None
    # The seconds from when it was due, for the first time or again, until it was claimed.
    waited: float


class Failure(NamedTuple):
    """How an attempt failed."""

    attempt: int
    type: str
    message: str
    traceback: str = ""
    traceparent: str = ""

    def as_json(self) -> str:
        """Write it as jsonb accepts it, without NUL and halves of surrogate pairs, bounded, and without secrets."""
        message, traceback = redact(self.message)[:MAX_TEXT], redact(self.traceback)[-MAX_TEXT:]
        bounded = self._replace(message=message, traceback=traceback)
        error = {name: _storable(value) for name, value in bounded._asdict().items()}
        return json.dumps({"at": datetime.now(UTC).isoformat(), **error})


def _storable(value: str | int) -> str | int:
    if isinstance(value, int):
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


async def check_claim(connection: Connection, claimed: Claimed) -> None:
    """Make sure, until the transaction ends, that the job is still this worker's. Raises ClaimLost."""
    if await connection.fetchrow(HOLDS, claimed.id, claimed.claim) is None:
        raise ClaimLost


async def complete(connection: Connection, claimed: Claimed) -> None:
    """Delete the job, as the last statement of the transaction that has its effects. Raises ClaimLost."""
    statement = COMPLETE if claimed.ordering_key is None else COMPLETE_ORDERED
    if (await connection.execute(statement, claimed.id, claimed.claim)) == "DELETE 0":
        raise ClaimLost
    await advance(connection, [(claimed.handler, claimed.ordering_key)])


class Queue:
    """The claims of one worker; each method raises Unavailable if the database is unavailable."""

    def __init__(self, database: Database, limits: Mapping[str, int], lease: float) -> None:
        """Claim jobs of the handlers in `limits`, of which so many run at once on all workers; 0 is no limit."""
        self._database = database
        self._limits = {name: limit for name, limit in limits.items() if limit}
        self._unlimited = [name for name, limit in limits.items() if not limit]
        self._lease = timedelta(seconds=lease)
        self._marks = [EARLIEST] * (1 + len(PRIORITIES))
        self._worker = uuid7()

    async def claim(self, most: int, running: Collection[int], *, may_crash: bool = True) -> list[Claimed]:
        """Claim at most `most` jobs, those of the highest priority first.

        `running` are those that this worker has, which it does not claim again when their lease has ended. With
        `may_crash`, one may be a job whose worker has died twice.
        """
        known = [*self._unlimited, *self._limits]
        claim = (self._worker, self._lease, most, not running)
        fetch = self._database.fetch
        rows = await fetch(CLAIM, *claim, self._unlimited, known, [*running], self._marks, may_crash)
        if self._limits and (left := most - len(rows)):
            claim = (self._worker, self._lease, left, not running and not rows)
            rows += await fetch(CLAIM_LIMITED, *claim, [*self._limits], [*self._limits.values()])
        return sorted((Claimed(*row) for row in rows), key=lambda job: (-job.priority, job.id))

    async def next_due(self, since: float) -> float | None:
        """Return the seconds until a job is due or a lease ends; negative for one since the claim, `since` seconds ago.

        Of handlers with a limit and of jobs that wait for others, nothing is known.
        """
        seconds: float | None = await self._database.fetchval(
            IDLE, timedelta(seconds=since), self._unlimited, [*self._limits]
        )
        return seconds

    async def maintain(self, running: Collection[Claimed]) -> None:
        """Renew the leases, and set the marks at which claims begin to look."""
        if running:
            ids, claims = zip(*((job.id, job.claim) for job in running), strict=True)
            await self._database.execute(RENEW, ids, claims, self._lease)
        self._marks = await self._database.fetchval(MARKS)

    async def set_alone(self, claimed: Claimed, *, is_alone: bool) -> None:
        """Note whether other jobs run beside this one, which are then not to blame for the death of the worker."""
        await self._database.execute(SET_ALONE, claimed.id, claimed.claim, is_alone)

    async def complete_all(self, jobs: Collection[Claimed]) -> set[int]:
        """Delete jobs without an ordering key; return the ids of those whose claim still held."""
        ids, claims = zip(*((job.id, job.claim) for job in jobs), strict=True)
        return {row["id"] for row in await self._database.fetch(COMPLETE_ALL, ids, claims)}

    async def complete(self, claimed: Claimed) -> None:
        """Delete a job with an ordering key. Raises ClaimLost."""
        async with self._database.transaction() as connection:
            await complete(connection, claimed)

    async def release(self, claimed: Claimed, delay: timedelta, failure: Failure | None = None) -> None:
        """Let the job be claimed again after `delay`; without a failure, the attempt is not counted."""
        error = failure.as_json() if failure else None
        await self._database.execute(RELEASE, claimed.id, claimed.claim, delay, error, 0)

    async def put_off(self, claimed: Claimed, delay: timedelta) -> None:
        """Let a job that could not run alone be claimed again after `delay`, and run alone then."""
        await self._database.execute(RELEASE, claimed.id, claimed.claim, delay, None, claimed.crashes)

    async def dead_letter(self, claimed: Claimed, failure: Failure) -> None:
        """Keep the job as a dead letter."""
        statement = DEAD_LETTER if claimed.ordering_key is None else DEAD_LETTER_ORDERED
        async with self._database.transaction() as connection:
            ended = await connection.execute(statement, claimed.id, claimed.claim, failure.as_json())
            if ended != "UPDATE 0":
                await advance(connection, [(claimed.handler, claimed.ordering_key)])
