"""Counts requests for all processes together, in a store with the Redis protocol; imported only where one is set."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

from limits.aio.storage import RedisStorage
from valkey.asyncio import BlockingConnectionPool
from valkey.exceptions import ValkeyError

STORE_TIMEOUT_SECONDS = 0.1


class SharedWindows:
    def __init__(self, pool: BlockingConnectionPool) -> None:
        self._storage = RedisStorage("redis://", implementation="valkey", connection_pool=pool)  # type: ignore[arg-type]

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncGenerator[Self]:
        pool = BlockingConnectionPool.from_url(url, timeout=STORE_TIMEOUT_SECONDS, max_connections=20)
        try:
            yield cls(pool)
        finally:
            await pool.disconnect()

    async def count(self, key: str, seconds: int) -> tuple[int, float]:
        """Count as OwnWindows does. Raises OSError if the store is unavailable."""
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                return await self._storage.incr(key, seconds), await self._storage.get_expiry(key)
        except ValkeyError as error:
            raise ConnectionError(type(error).__name__) from error
