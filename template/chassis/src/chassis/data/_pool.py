"""The connections of one process.

A loan costs a few microseconds, where asyncpg's pool takes a task and two timers for each: 50 µs, as much as a fifth of
a short transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import asyncpg

from chassis.ops import metrics

type Connection = asyncpg.Connection[asyncpg.Record]

# Less than the time after which networks forget a silent connection.
UNUSED_SECONDS = 180.0
CLOSE_SECONDS = 2.0


class PoolExhausted(TimeoutError):
    """All connections were in use for the whole timeout."""


class Lent:
    """A connection for as long as it is lent."""

    def __init__(self, session: Connection) -> None:
        self._session: Connection | None = session

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # of the connection
        if self._session is None:
            raise asyncpg.InterfaceError(f"the connection was given back, and {name} came too late")
        return getattr(self._session, name)

    def end(self) -> None:
        """Refuse any further use."""
        self._session = None


class Pool:
    """At most `size` connections, which are opened when they are needed, and lent to one user at a time."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int, timeout: float) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._places = asyncio.Semaphore(size)
        # With the time since when it is lent.
        self._lent: dict[Connection, float] = {}
        # With the time since when it is free; the one used last is last, and is lent first.
        self._free: list[tuple[float, Connection]] = []
        self._closing_unused = asyncio.create_task(self._close_unused())

    async def acquire(self) -> Connection:
        """Lend a connection. Raises TimeoutError if none is free in time, and what asyncpg raises when it connects."""
        if self._free and not self._places.locked():
            metrics.CONNECTION_WAIT.observe(0)
            return await self._acquire()
        began = perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._acquire()
        except TimeoutError:
            kind = PoolExhausted if self.is_exhausted else TimeoutError
            raise kind("no connection was free or opened in time") from None
        finally:
            metrics.CONNECTION_WAIT.observe(perf_counter() - began)

    @property
    def is_exhausted(self) -> bool:
        """Whether all connections are in use or being opened."""
        return self._places.locked()

    def observe(self) -> None:
        """Let the metrics show the connections of this pool."""
        metrics.CONNECTIONS.labels("used").set_function(lambda: len(self._lent))
        metrics.CONNECTIONS.labels("idle").set_function(lambda: len(self._free))
        metrics.CONNECTIONS_MAX.set(self._size)

    async def _acquire(self) -> Connection:
        await self._places.acquire()
        try:
            session = self._take() or await self._connect()
        except BaseException:
            self._places.release()
            raise
        self._lent[session] = perf_counter()
        return session

    def _take(self) -> Connection | None:
        while self._free:
            _, session = self._free.pop()
            if not session.is_closed():
                return session
        return None

    def release(self, session: Connection, *, was_silent: bool = False) -> None:
        """Take a connection back; one that is in a transaction is closed, which rolls back.

        If the server `was_silent`, those that have been free all the while are closed as well: they may lead to a
        machine that is gone, and each would cost its next user as long a wait.
        """
        lent_since = self._lent.pop(session)
        while was_silent and self._free and self._free[0][0] <= lent_since:
            self._free.pop(0)[1].terminate()
        if session.is_closed() or session.is_in_transaction():
            session.terminate()
        else:
            self._free.append((perf_counter(), session))
        self._places.release()

    async def _close_unused(self) -> None:
        while True:
            await asyncio.sleep(UNUSED_SECONDS / 3)
            since = perf_counter() - UNUSED_SECONDS
            while self._free and self._free[0][0] < since:
                with suppress(Exception):  # it is lost
                    await self._free.pop(0)[1].close(timeout=CLOSE_SECONDS)

    async def close(self) -> None:
        """Close all connections, for which those that are lent have a short time to be given back."""
        self._closing_unused.cancel()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    for _ in range(self._size):
                        await self._places.acquire()
                    for _, session in self._free:
                        await session.close()
        finally:
            for session in (*self._lent, *(session for _, session in self._free)):
                session.terminate()
