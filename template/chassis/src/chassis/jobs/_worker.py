"""A worker: claims jobs, runs them beside each other, and renews their leases."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Protocol

import structlog

from chassis.data import Database
from chassis.jobs._ends import Ends
from chassis.jobs._gauges import read_gauges
from chassis.jobs._handlers import Handler, Subscription
from chassis.jobs._listener import Listener
from chassis.jobs._loops import Loops, pause
from chassis.jobs._outbox import Outbox
from chassis.jobs._queue import Claimed, Queue
from chassis.jobs._retention import Retention, dead_letter_unknown, sweep
from chassis.jobs._runner import Runner
from chassis.jobs._schedules import Schedule, tick_all
from chassis.ops import Commands
from chassis.settings import EnvironmentSettings, Settings

log = structlog.stdlib.get_logger(__name__)

# Without a notification, jobs are looked for after this time.
POLL_SECONDS = 1.0
# A loop that has not turned for so long, nor for a lease, hangs.
STALLED_SECONDS = 10.0
# After a claim of the last jobs, until it is asked when the next one is due.
IDLE_SECONDS = 0.02
# Until schedules are looked at again; a cron expression can name seconds.
TICK_SECONDS = 1.0
# Less than an hour, so that a restart or an outage of the database skips no hour.
SWEEP_SECONDS = 1_800.0
# Between two readings of the gauges; longer with a backlog, so that they take a small share of a core.
GAUGES_SECONDS, GAUGES_SHARE = 15.0, 0.02
# Besides one for each job: those that claim, renew, complete, sweep, tick, notify and read the gauges.
SPARE_CONNECTIONS = 7
# A job whose worker died so often in a row, with others beside it, runs beside no other such job, and then alone.
CRASHES_UNTIL_SINGLE, CRASHES_UNTIL_ALONE = 2, 3
# Before the next try, for a job beside which others did not come to an end.
PUT_OFF_SECONDS = 60.0


def max_connections(settings: Settings, beside: int = 0) -> int:
    """Return how many connections a worker may hold in its pool; `beside` are those of what it does besides jobs."""
    return settings.worker_concurrency + SPARE_CONNECTIONS + beside


class Beside(Protocol):
    """What a worker does beside its jobs; `news` is set when a transaction has committed something to do."""

    news: asyncio.Event

    async def step(self) -> None:
        """Do what there is to do, and wait until there may be more; repeated, and cancelled at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Transport:
    """How integration events leave and enter a service, for `Service(events=...)`.

    `open` takes the name of the service, its database and its subscriptions, and gives what a worker does besides jobs.
    """

    settings: Sequence[type[EnvironmentSettings]]
    migrations: Mapping[str, Path]
    retention: Sequence[Retention]
    open: Callable[[str, Database, Sequence[Subscription]], AbstractAsyncContextManager[Beside]]
    add_commands: Callable[[Commands], None]
    # What `doctor` checks, given the name of the service.
    checks: Mapping[str, Callable[[str], Awaitable[str]]] = field(
        default_factory=dict[str, Callable[[str], Awaitable[str]]]
    )


class Worker:
    """Runs the jobs of these handlers, and queues the tasks of these schedules."""

    def __init__(  # noqa: PLR0913  # the parts of a process
        self,
        database: Database,
        handlers: Iterable[Handler],
        settings: Settings,
        stop: asyncio.Event,
        *,
        schedules: Iterable[Schedule] = (),
        retention: Iterable[Retention] = (),
        beside: Beside | None = None,
    ) -> None:
        handlers = tuple(handlers)
        outbox = Outbox(database, handlers)
        self._settings = settings
        self._stop, self._idle, self._interrupted = stop, asyncio.Event(), asyncio.Event()
        # Set when there may be something to claim, and when a job has ended.
        self._news, self._ended = asyncio.Event(), asyncio.Event()
        self._limits = {handler.name: handler.message.delivery.concurrency for handler in handlers}
        self._queue = Queue(database, self._limits, settings.worker_lease)
        self._ends = Ends(self._queue, self._interrupted)
        self._runners = {each.name: Runner(each, outbox, self._ends, settings.worker_max_attempts) for each in handlers}
        self._running: dict[asyncio.Task[None], Claimed] = {}
        self._alone: Claimed | None = None
        self._loops = Loops()
        self._beside = beside
        news = [self._news, beside.news] if beside else [self._news]
        self._listener = Listener(database, settings, stop, news)
        self._database, self._outbox = database, outbox
        self._schedules, self._retention = tuple(schedules), tuple(retention)

    async def ready(self) -> bool:
        """Return whether claiming and lease renewal succeeded last time and are still running."""
        return self._loops.turn(("claim", "maintain"), max(self._settings.worker_lease, STALLED_SECONDS))

    def ended(self) -> Collection[str]:
        """Name the loops that have ended although the worker was not stopped."""
        return self._loops.ended

    async def run(self) -> None:
        """Take jobs until `stop` is set, then finish those that run; no error and no outage ends it.

        What still runs SHUTDOWN_TIMEOUT seconds after `stop` is rolled back and put back on the queue.
        """
        async with asyncio.TaskGroup() as group:
            for name, step, end in (
                ("maintain", self._maintain, self._idle),
                ("tick", self._tick, self._stop),
                ("sweep", self._sweep, self._stop),
                ("gauges", self._read_gauges, self._idle),
            ):
                group.create_task(self._loops.repeat(name, step, end))
            group.create_task(self._listener.listen())
            beside = None
            if self._beside:
                beside = group.create_task(self._loops.repeat("events", self._beside.step, self._idle))
            claiming = group.create_task(self._loops.repeat("claim", self._claim, self._stop))
            await self._stop.wait()
            self._news.set()
            self._ended.set()
            await asyncio.wait([claiming])
            await self._finish()
            self._idle.set()
            if beside:
                beside.cancel()

    async def _claim(self) -> None:
        """Claim as many jobs as can run, and wait until there may be more."""
        running = self._running.values()
        free = self._settings.worker_concurrency - len(running)
        if not free or any(job.crashes >= CRASHES_UNTIL_ALONE for job in running):
            self._ended.clear()
            await pause(self._ended, POLL_SECONDS)
            return
        self._news.clear()
        began = perf_counter()
        may_crash = not any(job.crashes >= CRASHES_UNTIL_SINGLE for job in running)
        claimed = await self._queue.claim(free, [job.id for job in running], may_crash=may_crash)
        if claimed:
            await self._start(claimed)
        if claimed and len(claimed) < free:
            # What was claimed begins first; whether there is more is asked when the claim after this one is empty.
            await pause(self._news, IDLE_SECONDS)
        elif len(claimed) < free:
            due = await self._queue.next_due(perf_counter() - began)
            await pause(self._news, POLL_SECONDS if due is None else min(POLL_SECONDS, max(0, due)))

    async def _start(self, claimed: Sequence[Claimed]) -> None:
        self._alone = next((job for job in claimed if job.is_alone), self._alone)
        if self._alone and len(self._running) + len(claimed) > 1:
            await self._queue.set_alone(self._alone, is_alone=False)
            self._alone = None
        for job in claimed:
            task = asyncio.create_task(self._run(job))
            self._running[task] = job
            task.add_done_callback(self._forget)

    async def _run(self, job: Claimed) -> None:
        try:
            if job.crashes >= CRASHES_UNTIL_ALONE and not await self._is_alone(job):
                return
            outcome = await self._runners[job.handler].run(job)
        except asyncio.CancelledError:  # before it began
            await self._ends.release(job, timedelta(0))
        except Exception:
            log.exception("job keeps its lease", job=job.handler)
        else:
            if outcome != "done" or job.ordering_key is not None or self._limits[job.handler]:
                self._news.set()

    async def _is_alone(self, job: Claimed) -> bool:
        """Wait for the end of the other jobs, and put this one off if that takes longer than a lease."""
        try:
            async with asyncio.timeout(self._settings.worker_lease):
                while len(self._running) > 1:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            delay = PUT_OFF_SECONDS * random.uniform(0.5, 1)  # noqa: S311  # it spreads load
            await self._queue.put_off(job, timedelta(seconds=delay))
            return False
        await self._queue.set_alone(job, is_alone=True)
        return True

    def _forget(self, task: asyncio.Task[None]) -> None:
        if self._running.pop(task) is self._alone:
            self._alone = None
        self._ended.set()

    async def _finish(self) -> None:
        left = set(self._running)
        if left:
            _, left = await asyncio.wait(left, timeout=self._settings.shutdown_timeout)
        if left:
            log.warning("jobs interrupted")
            self._interrupted.set()
            for task in left:
                task.cancel()
            await asyncio.wait(left)

    async def _maintain(self) -> None:
        await self._queue.maintain(self._running.values())
        await pause(self._idle, self._settings.worker_lease / 4)

    async def _tick(self) -> None:
        await tick_all(self._outbox, self._schedules)
        await pause(self._stop, TICK_SECONDS)

    async def _read_gauges(self) -> None:
        began = perf_counter()
        await read_gauges(self._database, [*self._limits], [schedule.name for schedule in self._schedules])
        await pause(self._idle, max(GAUGES_SECONDS, (perf_counter() - began) / GAUGES_SHARE))

    async def _sweep(self) -> None:
        await sweep(self._database, self._retention, self._settings)
        await dead_letter_unknown(self._database, [*self._limits])
        await pause(self._stop, SWEEP_SECONDS * random.uniform(0.8, 1))  # noqa: S311  # it spreads load
