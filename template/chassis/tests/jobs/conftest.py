"""Workers in process, and a task whose effect is counted."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from chassis.data import Database
from chassis.jobs import Handler, Message, Outbox, Task, Transaction, Worker, _runner, handle
from chassis.settings import Settings

from tests.ops.conftest import logged, output

__all__ = ["logged", "output"]

EFFECT = "INSERT INTO notes (id, owner, text) VALUES (gen_random_uuid(), 'nobody', 'effect')"
EFFECTS = "SELECT count(*) FROM notes WHERE text = 'effect'"
STATES = """
    SELECT CASE WHEN dead_at IS NOT NULL THEN 'dead' WHEN worker IS NULL THEN 'queued' ELSE 'running' END, attempt
    FROM chassis_jobs ORDER BY id
"""


class WriteEffect(Task):
    """Writes one row at each attempt that commits."""

    text: str = ""


async def write_effect(_task: WriteEffect, transaction: Transaction) -> None:
    await transaction.connection.execute(EFFECT)


WRITE_EFFECT = handle(WriteEffect, write_effect)


class Workers:
    """Starts workers in this process and looks at what they leave."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings

    async def queue(self, handlers: Sequence[Handler], *messages: Message) -> None:
        async with Outbox(self.database, handlers).transaction() as transaction:
            await transaction.publish(*messages)

    @asynccontextmanager
    async def running(self, handlers: Sequence[Handler], grace: float = 20) -> AsyncGenerator[None]:
        """Run a worker for the length of the block, which then has `grace` seconds to finish its jobs."""
        stop = asyncio.Event()
        settings = self.settings.model_copy(update={"shutdown_timeout": grace})
        working = asyncio.create_task(self._work(handlers, settings, stop))
        try:
            yield
        finally:
            stop.set()
            await working

    async def has_effects(self, count: int) -> bool:
        return bool(await self.database.fetchval(EFFECTS) == count)

    async def dead_letters(self) -> int:
        return [state for state, _ in await states(self.database)].count("dead")

    async def _work(self, handlers: Sequence[Handler], settings: Settings, stop: asyncio.Event) -> None:
        await Worker(self.database, handlers, settings, stop).run()


async def states(database: Database) -> list[tuple[str, int]]:
    """Return the status and the attempt of each job."""
    return [tuple(row) for row in await database.fetch(STATES)]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for at most twenty seconds until the condition holds."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


def shorten_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers of this process retry after a moment."""
    monkeypatch.setattr(_runner, "BACKOFF_SECONDS", 0.01)


@pytest.fixture
def workers(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Workers:
    shorten_waits(monkeypatch)
    return Workers(database, settings.model_copy(update={"worker_concurrency": 4}))
