"""One run of a job: what it is given, how long it may take, and what its end means for the job."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from time import perf_counter
from typing import Any, cast
from uuid import UUID

import structlog
from pgqueuer.domain.errors import RetryRequested, retry_request
from pgqueuer.models import Job as Claimed

from chassis.data import Caller, Connection, Database
from chassis.jobs._inbox import received_first
from chassis.jobs._messages import Message
from chassis.jobs._outbox import Handler, Job, Outbox, Transaction
from chassis.jobs._queue import Claim, ClaimLost, Snooze, check_claim, count_earlier
from chassis.ops import metrics, request_id, trace_id

log = structlog.stdlib.get_logger(__name__)

OUTCOMES = ("dead_lettered", "done", "interrupted", "lost", "snoozed", "retried")
BACKOFF_SECONDS = 1.0
BACKOFF_LIMIT_SECONDS = 300.0
# For each job that has to be done before one of the same ordering key.
TURN_SECONDS = 0.1


class Unreadable(Exception):
    """The payload does not fit its message; another attempt would not help."""


class NewerVersion(Exception):
    """The payload is of a later release, whose workers can read it."""


class AttemptsExhausted(Exception):
    """Every run was begun and none came to an end, as when each takes its worker down."""


def backoff(attempt: int) -> timedelta:
    """Time to wait after failed run number `attempt` (from 1): doubling, bounded, with jitter."""
    seconds = min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2 ** (attempt - 1))
    return timedelta(seconds=seconds * random.uniform(0.5, 1))  # noqa: S311  # it spreads load and guards nothing


class Runner:
    """Runs the jobs of one handler."""

    def __init__(self, handler: Handler, database: Database, outbox: Outbox, max_attempts: int) -> None:
        self._handler = handler
        self._database = database
        self._outbox = outbox
        self._delivery = handler.message.delivery
        self._max_attempts = self._delivery.max_attempts or max_attempts
        self._ended = {outcome: metrics.JOBS.labels(handler.name, outcome) for outcome in OUTCOMES}
        self._seconds = metrics.JOB_SECONDS.labels(handler.name)

    async def __call__(self, claimed: Claimed) -> None:
        """Run the job once, whatever becomes of it; nothing is raised when it is done or was given to another worker.

        Raises RetryRequested, which puts the job back, or the error that makes it a dead letter.
        """
        started = perf_counter()
        outcome = "interrupted"
        with _ids_of(claimed):
            try:
                await self._run(claimed)
                outcome = "done"
            except asyncio.CancelledError:  # left to itself, pgqueuer takes a cancelled job off the queue
                raise Snooze(reason="interrupted") from None
            except ClaimLost:
                outcome = "lost"
                log.warning("job claim lost", job=self._handler.name, attempt=claimed.attempts)
            except Exception as error:
                if isinstance(snoozed := retry_request(error), Snooze):  # of a group of tasks, too
                    outcome = "snoozed"
                    raise snoozed from None
                if self._is_hopeless(claimed, error):
                    outcome = "dead_lettered"
                    log.exception("job dead-lettered", job=self._handler.name, attempt=claimed.attempts)
                    raise
                outcome = "retried"
                log.warning("job failed", job=self._handler.name, attempt=claimed.attempts, exc_info=True)
                raise RetryRequested(backoff(claimed.attempts), type(error).__name__) from error
            finally:
                self._ended[outcome].inc()
                self._seconds.observe(perf_counter() - started)

    async def check(self, connection: Connection, claimed: Claimed) -> None:
        """Make sure, until the transaction ends, that the job is still this worker's. Raises ClaimLost."""
        await check_claim(connection, _claim(claimed))

    def _is_hopeless(self, claimed: Claimed, error: Exception) -> bool:
        return isinstance(error, Unreadable) or claimed.attempts >= self._max_attempts

    async def _run(self, claimed: Claimed) -> None:
        if claimed.attempts > self._max_attempts:
            raise AttemptsExhausted(f"none of {self._max_attempts} runs came to an end")
        await self._await_turn(claimed)
        message = _read(self._handler.message, claimed)
        async with asyncio.timeout(self._delivery.deadline.total_seconds()):
            did = await (
                self._run_without_transaction if self._handler.without_transaction else self._run_in_transaction
            )(message, claimed)
        log.info("job done" if did else "job already done", job=self._handler.name, attempt=claimed.attempts)

    async def _run_in_transaction(self, message: Message, claimed: Claimed) -> bool:
        """Run the handler in a transaction with its inbox key; answer whether it was for the first time."""
        run = cast("Callable[[Message, Transaction], Awaitable[None]]", self._handler.run)
        async with self._outbox.transaction(_caller(claimed)) as transaction:
            if not await received_first(transaction.connection, message.id, self._handler.name):
                return False
            await run(message, transaction)
            await self.check(transaction.connection, claimed)
        return True

    async def _run_without_transaction(self, message: Message, claimed: Claimed) -> bool:
        run = cast("Callable[[Message, Job], Awaitable[None]]", self._handler.run)
        caller = _caller(claimed)
        await run(message, Job(self._outbox.transaction, _claim(claimed), self._handler.name, message.id, caller))
        return True

    async def _await_turn(self, claimed: Claimed) -> None:
        """Raise Snooze while an earlier job of its ordering key is not done; a dead letter is not waited for."""
        key = _headers(claimed).get("ordering_key")
        if key is None:
            return
        async with self._database.connection() as connection:
            earlier = await count_earlier(connection, claimed.id, self._handler.name, key)
        if earlier:
            raise Snooze(timedelta(seconds=TURN_SECONDS * earlier), "not its turn")


def _claim(claimed: Claimed) -> Claim:
    return Claim(claimed.id, cast("UUID", claimed.queue_manager_id), claimed.attempts)


def _caller(claimed: Claimed) -> Caller:
    """Give the ids of the request that caused the job."""
    headers = _headers(claimed)
    return Caller(request_id=headers.get("request_id", ""), trace_id=headers.get("trace_id", ""))


def _headers(claimed: Claimed) -> Mapping[str, str]:
    return {name: str(value) for name, value in (claimed.headers or {}).items()}


@contextmanager
def _ids_of(claimed: Claimed) -> Generator[None]:
    """Give log lines the ids of the request that caused the job."""
    caller = _caller(claimed)
    tokens = [(request_id, request_id.set(caller.request_id)), (trace_id, trace_id.set(caller.trace_id))]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def _read(kind: type[Message], claimed: Claimed) -> Message:
    """Read the payload, of whichever version. Raises Unreadable, or NewerVersion for one of a later release."""
    try:
        version = int(_headers(claimed).get("version", "1"))
        if version == kind.delivery.version:
            return kind.model_validate_json(claimed.payload or b"")
        if version < kind.delivery.version:
            payload: dict[str, Any] = json.loads(claimed.payload or b"")
            return kind.model_validate(kind.upgrade(payload, version))
    except Exception as error:
        raise Unreadable(f"the payload is no {kind.__name__}") from error
    raise NewerVersion(f"version {version} of {kind.__name__} is later than {kind.delivery.version}")
