"""What befalls the database of a process, or the way to it, and how it ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.parse import quote

from tests.faults.proxy import Proxy, proxy, socket_proxy
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


class Way:
    """The database at `url`, by a socket in a folder that may be missing: then nothing refuses a connection."""

    def __init__(self, url: str, folder: Path, between: Proxy) -> None:
        self.url = url
        self._folder = folder
        self._proxy = between

    def vanish(self) -> None:
        self._folder.rename(self._elsewhere)
        self._proxy.turn("resets")

    def come_back(self) -> None:
        self._proxy.turn("passes")
        self._elsewhere.rename(self._folder)

    @property
    def _elsewhere(self) -> Path:
        return self._folder.with_name("elsewhere")


@asynccontextmanager
async def way(database: str, server: Postgres) -> AsyncGenerator[Way]:
    """Lay a way to a database, for the length of the block."""
    with TemporaryDirectory(prefix="way-") as parent:  # the path of a socket is short
        folder = Path(parent) / "socket"
        folder.mkdir()
        async with socket_proxy(server.port, folder) as between:
            url = database.replace("127.0.0.1", quote(str(folder), safe=""))
            yield Way(url, folder, between)
