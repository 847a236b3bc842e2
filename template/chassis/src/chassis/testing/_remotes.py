"""Servers on this machine that stand for other services, and answer as a test wants."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from chassis.outbound import closing_clients

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: 0\r\n\r\n"

GONE = (ConnectionError, asyncio.IncompleteReadError)

type Respond = Callable[[asyncio.StreamWriter, int], Awaitable[None]]


class Remote:
    """A server that answers request number n by `respond(writer, n)`, and keeps the heads and bodies it was sent."""

    def __init__(self, respond: Respond) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.url = ""
        self._respond = respond

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            if length := re.search(r"content-length: (\d+)", head, re.IGNORECASE):
                self.bodies.append(await reader.readexactly(int(length[1])))
            await self._respond(writer, len(self.heads))
            await writer.drain()
        except GONE:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def remote(respond: Respond) -> AsyncGenerator[Remote]:
    made = Remote(respond)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with closing_clients():
            yield made
    finally:
        server.close()


def answers(*texts: bytes) -> Respond:
    """Answer with each text in turn, and then always with the last."""

    async def respond(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(texts[min(number, len(texts)) - 1])

    return respond
