"""How the queue's library reaches the database: it waits while the database is unavailable, and then listens again.

Without this, the library stops at the first error and restarts when the last of its jobs has finished.
"""

import asyncio
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import override

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver, Relay
from pgqueuer.ports.driver import NotifyCallback

from chassis.data import NOT_READY_ERRORS, Connection, Database
from chassis.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)

# A lost connection cannot be told to stop listening.
warnings.filterwarnings("ignore", ".* active notification listener", asyncpg.InterfaceWarning)

# Until the database is asked again.
AWAY_SECONDS = 0.5
# Until a listener is asked whether its connection still stands.
WATCH_SECONDS = 5.0


class WaitingDriver(AsyncpgPoolDriver):
    """Takes jobs whenever the database answers, until `stop` is set."""

    def __init__(self, database: Database, stop: asyncio.Event) -> None:
        super().__init__(database.pool)
        self._database = database
        self._stop = stop
        self._is_away = False
        self._listening: set[asyncio.Task[None]] = set()

    @override
    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Claim jobs or look for them. Raises Unavailable when the database is unavailable during shutdown."""
        return [dict(row) for row in await self._ask(lambda connection: connection.fetch(query, *args))]

    @override
    async def execute(self, query: str, *args: object) -> str:
        """Prolong or end claims, which is idempotent. Raises Unavailable during shutdown."""
        return await self._ask(lambda connection: connection.execute(query, *args))

    @override
    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Begin to listen; jobs that come before, or while the connection is lost, are found by a look."""
        self._listening.add(asyncio.create_task(self._listen(channel, Relay(callback))))

    @override
    async def notify(self, channel: str, payload: str) -> None:
        """Send no probe, whose loss would end the library: the listener is watched here."""
        await asyncio.Event().wait()

    @override
    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        if self._entered:  # the library enters it more than once
            return
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)

    async def _ask[T](self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        while True:
            try:
                async with self._database.connection() as connection:
                    answer = await ask(connection)
            except Unavailable:
                if self._stop.is_set():
                    raise
                self._note(is_away=True)
                await asyncio.sleep(AWAY_SECONDS)
            else:
                self._note(is_away=False)
                return answer

    def _note(self, *, is_away: bool) -> None:
        if is_away and not self._is_away:
            log.warning("database unavailable, jobs wait")
        elif self._is_away and not is_away:
            log.info("database available again")
        self._is_away = is_away

    async def _listen(self, channel: str, callback: Callable[..., None]) -> None:
        while True:
            try:
                async with self._database.connection() as connection, listening(connection, channel, callback):
                    while True:
                        await asyncio.sleep(WATCH_SECONDS)
                        await connection.execute("SELECT 1")
            except NOT_READY_ERRORS:
                await asyncio.sleep(AWAY_SECONDS)


@asynccontextmanager
async def listening(connection: Connection, channel: str, callback: Callable[..., None]) -> AsyncGenerator[None]:
    """Pass notifications on `channel` to `callback` for the length of the block."""
    await connection.add_listener(channel, callback)
    try:
        yield
    finally:
        await connection.remove_listener(channel, callback)
