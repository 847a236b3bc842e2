"""What befalls the database of a process, or the way to it, and how it ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal

from tests.faults.proxy import Proxy, proxy
from tests.faults.server import Postgres

type Outage = Literal["stopped", "frozen", "resets", "is silent", "is slow"]

ALL: tuple[Outage, ...] = ("stopped", "frozen", "resets", "is silent", "is slow")


class Outages:
    """The database at `url`, as it is seen through a proxy."""

    def __init__(self, url: str, server: Postgres, between: Proxy) -> None:
        self.url = url
        self._server = server
        self._proxy = between

    async def begin(self, outage: Outage) -> None:
        match outage:
            case "stopped":
                await asyncio.to_thread(self._server.kill)
            case "frozen":
                await asyncio.to_thread(self._server.freeze)
            case "resets" | "is silent" | "is slow":
                self._proxy.turn(outage)

    async def end(self) -> None:
        self._proxy.turn("passes")
        await asyncio.to_thread(self._server.thaw)
        await asyncio.to_thread(self._server.start)


@asynccontextmanager
async def outages(database: str, server: Postgres) -> AsyncGenerator[Outages]:
    """Put a proxy before a database, for the length of the block."""
    async with proxy(server.port) as between:
        yield Outages(database.replace(f":{server.port}/", f":{between.port}/"), server, between)
