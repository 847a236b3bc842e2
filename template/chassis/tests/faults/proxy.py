"""What is between a process and its database: a connection that passes, is cut, falls silent, or is slow."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

SLOW_SECONDS = 0.05

type Mode = Literal["passes", "resets", "is silent", "is slow"]


class Proxy:
    """Listens on a port of its own, and passes on what comes as its mode says."""

    def __init__(self, target: int) -> None:
        self.mode: Mode = "passes"
        self.port = 0
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()

    def turn(self, mode: Mode) -> None:
        """Change what becomes of connections, those that are open as well."""
        self.mode = mode
        if mode == "resets":
            for writer in self._writers:
                _reset(writer)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "resets":
            _reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        both = {writer, server_writer}
        self._writers |= both
        try:
            await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))
        finally:
            self._writers -= both

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                while self.mode == "is silent":
                    await asyncio.sleep(0.05)
                if self.mode == "is slow":
                    await asyncio.sleep(SLOW_SECONDS)
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy(target: int) -> AsyncGenerator[Proxy]:
    made = Proxy(target)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.turn("resets")
        server.close()


@asynccontextmanager
async def socket_proxy(target: int, folder: Path) -> AsyncGenerator[Proxy]:
    """Listen on a socket in a folder, which has the name that clients of PostgreSQL give it."""
    made = Proxy(target)
    made.port = target
    server = await asyncio.start_unix_server(made.accept, folder / f".s.PGSQL.{target}")
    try:
        yield made
    finally:
        made.turn("resets")
        server.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as when a machine has gone."""
    with suppress(OSError):
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
