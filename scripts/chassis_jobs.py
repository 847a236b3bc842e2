"""What `bench_jobs.py` measures: one process with the chassis's queue, as a worker or as a client that enqueues.

Runs in the environment of the chassis. A handler is named after the module in a package, so this one is imported as
`scripts.chassis_jobs`.
"""

import asyncio
import random
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import chassis.jobs
from chassis.data import Database, open_database
from chassis.data.migration import migrate
from chassis.jobs import (
    Handler,
    Job,
    Outbox,
    Task,
    Transaction,
    Worker,
    handle,
    handle_without_transaction,
    max_connections,
)
from chassis.ops import configure_logs, run
from chassis.settings import Settings, load

from scripts.plain_jobs import EFFECT, answer

# Jobs that are queued in one statement.
BATCH = 1_000
# Without a job for this time, the queue may be empty.
QUIET_SECONDS = 0.1
# Seconds between two jobs: the worker idles, and the outbox may notify it at once.
PAUSES = (0.02, 0.06)

LEFT = "SELECT EXISTS (SELECT FROM chassis_jobs WHERE dead_at IS NULL)"


class DoNothing(Task):
    """For a handler without an effect."""


class WriteEffect(Task):
    """For a handler that writes one row."""


# When each job was started, on the clock that all processes of a machine share.
started: dict[str, float] = {}


async def do_nothing(task: DoNothing, _job: Job) -> None:
    started[str(task.id)] = time.monotonic()


async def write_effect(task: WriteEffect, transaction: Transaction) -> None:
    started[str(task.id)] = time.monotonic()
    await transaction.connection.execute(EFFECT, task.id)


HANDLERS: tuple[Handler, ...] = (handle_without_transaction(DoNothing, do_nothing), handle(WriteEffect, write_effect))
TASKS: dict[str, type[Task]] = {"do_nothing": DoNothing, "write_effect": WriteEffect}


class Process:
    """The commands; those of a worker are `work` and `finish`."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._outbox = Outbox(database, HANDLERS)
        self._settings = settings
        self._stop = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def migrate(self) -> None:
        await migrate(self._settings, {"chassis_jobs": Path(chassis.jobs.__path__[0]) / "migrations"})

    async def fill(self, task: str, count: int) -> None:
        """Queue jobs in one transaction, so that a worker finds all or none."""
        async with self._outbox.transaction() as transaction:
            for begin in range(0, count, BATCH):
                size = min(BATCH, count - begin)
                await transaction.publish(*(TASKS[task]() for _ in range(size)))

    async def enqueue(self, count: int, clients: int) -> float:
        """Queue jobs, each in a transaction, and return how many in a second."""
        left = iter(range(count))

        async def repeat() -> None:
            for _ in left:
                async with self._outbox.transaction() as transaction:
                    await transaction.publish(WriteEffect())

        begun = time.perf_counter()
        await asyncio.gather(*(repeat() for _ in range(clients)))
        return count / (time.perf_counter() - begun)

    async def trickle(self, count: int) -> dict[str, float]:
        """Queue one job after the other, with pauses, and return the time of each commit."""
        committed = {}
        for _ in range(count):
            task = WriteEffect()
            async with self._outbox.transaction() as transaction:
                await transaction.publish(task)
            committed[str(task.id)] = time.monotonic()
            await asyncio.sleep(random.uniform(*PAUSES))  # noqa: S311  # no secret
        return committed

    async def work(self) -> None:
        """Start a worker."""
        started.clear()
        self._stop.clear()
        self._working = asyncio.create_task(Worker(self._database, HANDLERS, self._settings, self._stop).run())

    async def finish(self) -> dict[str, float]:
        """Stop the worker when the queue is empty, and return when it started each job.

        The table is read only in a pause, so that the measurement is not disturbed.
        """
        count = -1
        while count < len(started) or await self._database.fetchval(LEFT):
            count = len(started)
            await asyncio.sleep(QUIET_SECONDS)
        self._stop.set()
        if self._working:
            await self._working
        return started


async def serve() -> None:
    settings = load(Settings)
    with redirect_stdout(sys.stderr):  # standard output has the answers
        configure_logs(settings, "worker")
    commands = ("migrate", "fill", "enqueue", "trickle", "work", "finish")
    async with open_database(settings, max_connections(settings)) as database:
        process = Process(database, settings)
        await answer({name: getattr(process, name) for name in commands})


def main() -> None:
    run(serve())
