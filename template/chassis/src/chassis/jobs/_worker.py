"""Runs jobs: at least once each, their effects in our database exactly once, failures kept as dead letters."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import pgqueuer
import structlog
from pgqueuer.ports.driver import Driver

from chassis.data import Database
from chassis.jobs._driver import WaitingDriver
from chassis.jobs._outbox import Handler, Outbox
from chassis.jobs._queue import QUEUE, ClaimBuilder, queries
from chassis.jobs._retention import sweep_until
from chassis.jobs._runner import Runner
from chassis.jobs._schedules import Schedule, tick_until
from chassis.ops import finish
from chassis.settings import EnvironmentSettings, Settings

log = structlog.stdlib.get_logger(__name__)

# New jobs wake the worker; pgqueuer's trigger says nothing of a retry, which would wait for the next look.
POLL_SECONDS = 1.0
# Besides one for each job: the listener's, those that fetch, complete and prolong jobs, the sweeper's, the schedules'.
SPARE_CONNECTIONS = 6


class Publisher(Protocol):
    """What publishes the integration events of one worker."""

    def resting(self) -> Collection[str]:
        """Name the handlers whose jobs are not claimed now, since what they announce could not be published."""
        ...

    async def run_until(self, idle: asyncio.Event) -> None:
        """Keep a connection until the worker is idle for good."""
        ...


@dataclass(frozen=True, slots=True)
class Transport:
    """How integration events leave a service, for `Service(events=...)`; `publisher` takes the service's name."""

    settings: Sequence[type[EnvironmentSettings]]
    publisher: Callable[[str], Publisher]


def max_connections(settings: Settings) -> int:
    """Give how many connections a worker may hold."""
    return settings.worker_concurrency + SPARE_CONNECTIONS


async def work(  # noqa: PLR0913  # the parts of a process
    database: Database,
    handlers: Iterable[Handler],
    settings: Settings,
    stop: asyncio.Event,
    *,
    schedules: Iterable[Schedule] = (),
    publisher: Publisher | None = None,
) -> None:
    """Take jobs until `stop` is set, then finish those that run; start over by itself when the database comes back.

    What still runs SHUTDOWN_TIMEOUT seconds after `stop` is rolled back and put back on the queue.
    """
    handlers = tuple(handlers)
    idle = asyncio.Event()
    beside = {
        asyncio.create_task(sweep_until(stop, database, settings, [handler.name for handler in handlers])),
        asyncio.create_task(tick_until(stop, Outbox(database, handlers), schedules)),
    }
    if publisher:
        beside.add(asyncio.create_task(publisher.run_until(idle)))
    try:
        if not await finish(_take(database, handlers, settings, stop, publisher), stop, settings.shutdown_timeout):
            log.warning("jobs interrupted")
        idle.set()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)


async def _take(
    database: Database,
    handlers: Sequence[Handler],
    settings: Settings,
    stop: asyncio.Event,
    publisher: Publisher | None,
) -> None:
    builder = ClaimBuilder(QUEUE, resting=publisher.resting if publisher else tuple)
    await pgqueuer.run(
        lambda: _queue(WaitingDriver(database, stop), builder, database, handlers, settings),
        dequeue_timeout=timedelta(seconds=POLL_SECONDS),
        batch_size=max(1, settings.worker_concurrency // 2),
        max_concurrent_tasks=settings.worker_concurrency,
        heartbeat_timeout=timedelta(seconds=settings.worker_lease),
        restart_on_failure=True,
        restart_delay=timedelta(seconds=1),
        shutdown=stop,
    )


@asynccontextmanager
async def _queue(
    driver: Driver, builder: ClaimBuilder, database: Database, handlers: Sequence[Handler], settings: Settings
) -> AsyncGenerator[pgqueuer.PgQueuer]:
    """Make the part of pgqueuer that takes jobs, again at each restart."""
    queue = pgqueuer.PgQueuer(driver, QUEUE.channel, queries=queries(driver, builder))
    outbox = Outbox(database, handlers)
    for handler in handlers:
        limit = handler.message.delivery.concurrency
        runner = Runner(handler, database, outbox, settings.worker_max_attempts)
        queue.entrypoint(handler.name, concurrency_limit=limit, accepts_context=False, on_failure="hold")(runner)
    yield queue
