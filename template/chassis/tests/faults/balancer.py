"""A balancer as simple as they come: a connection goes to the next instance that says it is ready."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from itertools import count

from httpx import AsyncClient, HTTPError

from tests.faults.fleet import Started

LOOK_SECONDS = 0.1


class Balancer:
    """Asks each instance on its operations port, and passes connections on; to any, when none says that it is ready."""

    def __init__(self) -> None:
        self.instances: list[Started] = []
        self.url = ""
        self._ready: list[Started] = []
        self._turn = count()

    async def look(self) -> None:
        """See again and again who is ready."""
        async with AsyncClient(timeout=1) as client:
            while True:
                asked = list(self.instances)
                answers = await asyncio.gather(*(_is_ready(client, each) for each in asked))
                self._ready = [each for each, is_ready in zip(asked, answers, strict=True) if is_ready]
                await asyncio.sleep(LOOK_SECONDS)

    async def add(self, instance: Started) -> None:
        """Take the instance in, and wait until it has been seen ready."""
        self.instances.append(instance)
        while instance not in self._ready:
            await asyncio.sleep(LOOK_SECONDS)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        instances = self._ready or self.instances
        instance = instances[next(self._turn) % len(instances)]
        port = int(instance.url.rpartition(":")[2])
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))


@asynccontextmanager
async def balancer() -> AsyncGenerator[Balancer]:
    made = Balancer()
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    looking = asyncio.create_task(made.look())
    try:
        yield made
    finally:
        looking.cancel()
        server.close()


async def _is_ready(client: AsyncClient, instance: Started) -> bool:
    try:
        return (await client.get(f"{instance.operations}/readyz")).status_code == HTTPStatus.OK
    except HTTPError:
        return False


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
