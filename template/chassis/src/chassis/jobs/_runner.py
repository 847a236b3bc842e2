"""One attempt at a job: what the handler is given, how long it may take, and what its end means for the job."""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from time import perf_counter
from typing import cast

import structlog

from chassis.data import Caller
from chassis.jobs._ends import Ends
from chassis.jobs._handlers import Handler, Job
from chassis.jobs._messages import Payload, Unreadable, read_payload
from chassis.jobs._outbox import Outbox
from chassis.jobs._queue import Claimed, ClaimLost, Failure, complete
from chassis.jobs._transactions import Transaction
from chassis.ops import entry_span, fail, job_id, message_id, metrics, request_id, traceparent

log = structlog.stdlib.get_logger(__name__)

OUTCOMES = ("dead_lettered", "done", "interrupted", "lost", "snoozed", "retried")
FAILED = ("dead_lettered", "lost", "retried")
BACKOFF_SECONDS = 1.0
BACKOFF_LIMIT_SECONDS = 300.0
AT_ONCE = timedelta(0)


class Snooze(Exception):
    """Puts the job back for a while, without counting the attempt."""

    def __init__(self, delay: timedelta, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay


class AttemptsExhausted(Exception):
    """Every attempt was begun and none came to an end, as when each kills its worker."""


def backoff(attempt: int) -> timedelta:
    """Time to wait after failed attempt number `attempt` (from 1): doubling, bounded, with jitter."""
    seconds = min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2 ** (attempt - 1))
    return timedelta(seconds=seconds * random.uniform(0.5, 1))  # noqa: S311  # it spreads load and guards nothing


class Runner:
    """Runs the jobs of one handler."""

    def __init__(self, handler: Handler, outbox: Outbox, ends: Ends, max_attempts: int) -> None:
        self._handler = handler
        self._outbox = outbox
        self._ends = ends
        self._delivery = handler.message.delivery
        self._max_attempts = self._delivery.max_attempts or max_attempts
        self._outcomes = {outcome: metrics.JOBS.labels(handler.name, outcome) for outcome in OUTCOMES}
        self._seconds = metrics.JOB_SECONDS.labels(handler.name)
        self._wait = metrics.JOB_WAIT.labels(handler.name)

    async def run(self, claimed: Claimed) -> str:
        """Run the handler once, end the claim and return the outcome; nothing that the handler raises is raised."""
        with _ids_of(claimed):
            return await self._run(claimed)

    async def _run(self, claimed: Claimed) -> str:
        job, attempt = claimed.handler, claimed.attempt
        attributes: dict[str, str | int] = {
            "messaging.system": "chassis",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": job,
            "messaging.message.id": str(claimed.message_id),
            "chassis.job.attempt": attempt,
        }
        links = [claimed.failed_traceparent] if claimed.failed_traceparent else []
        parents = {"traceparent": claimed.traceparent}
        started = perf_counter()
        with entry_span(f"process {job}", "consumer", parents, attributes, links) as span:
            example = metrics.exemplar()
            self._wait.observe(claimed.waited, example)
            try:
                await self._attempt(claimed, Caller(request_id=claimed.request_id, traceparent=traceparent()))
            except GeneratorExit:  # there is no event loop any more
                raise
            except BaseException as error:  # noqa: BLE001  # a SystemExit, too, is a failure of this job alone
                outcome = await self._fail(claimed, error)
                if outcome in FAILED:
                    fail(span, error)
            else:
                outcome = "done"
                log.info("job done", job=job, attempt=attempt)
            span.set_attribute("chassis.job.outcome", outcome)
            self._outcomes[outcome].inc(1, example)
            self._seconds.observe(perf_counter() - started, example)
        return outcome

    async def _attempt(self, claimed: Claimed, caller: Caller) -> None:
        if claimed.attempt > self._max_attempts:
            raise AttemptsExhausted(f"none of {self._max_attempts} attempts came to an end")
        message = read_payload(self._handler.message, claimed.payload, claimed.version)
        if self._handler.without_transaction:
            await self._run_without_transaction(message, claimed, caller)
        else:
            await self._run_in_transaction(message, claimed, caller)

    async def _run_in_transaction(self, message: Payload, claimed: Claimed, caller: Caller) -> None:
        run = cast("Callable[[Payload, Transaction], Awaitable[None]]", self._handler.run)
        async with self._deadline(), self._outbox.transaction(caller) as transaction:
            await run(message, transaction)
            await complete(transaction.connection, claimed)

    async def _run_without_transaction(self, message: Payload, claimed: Claimed, caller: Caller) -> None:
        run = cast("Callable[[Payload, Job], Awaitable[None]]", self._handler.run)
        async with self._deadline():
            await run(message, Job(self._outbox.transaction, claimed, caller))
        await self._ends.complete(claimed)

    def _deadline(self) -> asyncio.Timeout:
        return asyncio.timeout(self._delivery.deadline.total_seconds())

    async def _fail(self, claimed: Claimed, error: BaseException) -> str:
        """End the claim of an attempt that was not successful, and return its outcome."""
        job, attempt = claimed.handler, claimed.attempt
        if isinstance(error, asyncio.CancelledError) and self._ends.interrupted.is_set():
            await self._ends.release(claimed, AT_ONCE)
            return "interrupted"
        if _find(error, ClaimLost):
            log.warning("job claim lost", job=job, attempt=attempt)
            return "lost"
        if snooze := _find(error, Snooze):
            await self._ends.release(claimed, snooze.delay)
            return "snoozed"
        trace = "".join(traceback.format_exception(error))
        failure = Failure(attempt, type(error).__name__, str(error), trace, traceparent())
        if isinstance(error, Unreadable) or attempt >= self._max_attempts:
            log.error("job dead-lettered", job=job, attempt=attempt, exc_info=error)
            await self._ends.dead_letter(claimed, failure)
            return "dead_lettered"
        log.warning("job failed", job=job, attempt=attempt, exc_info=error)
        await self._ends.release(claimed, backoff(attempt), failure)
        return "retried"


def _find[E: Exception](error: BaseException, kind: type[E]) -> E | None:
    """Return the error, or the first of its group, if it is of this kind."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, (_find(each, kind) for each in error.exceptions)), None)
    return error if isinstance(error, kind) else None


@contextmanager
def _ids_of(claimed: Claimed) -> Generator[None]:
    """Give log lines the ids of the job and of the request that caused it."""
    ids = {job_id: str(claimed.id), message_id: str(claimed.message_id), request_id: claimed.request_id}
    tokens = [(variable, variable.set(value)) for variable, value in ids.items()]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)
