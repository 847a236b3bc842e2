"""One API process of the sample module for all probes, with short deadlines, and a socket to write anything to."""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from chassis.http import Problem
from chassis.testing import credential, environment_of, free_ports
from chassis.testing._databases import Server

# In every probe, and never in what comes back or is logged.
CANARY = "canary-4711"
ORIGIN = "https://shop.example"
SETTINGS = {"API_HEAD_TIMEOUT": "1", "API_BODY_TIMEOUT": "1", "API_SEND_TIMEOUT": "1", "API_CORS_ORIGINS": ORIGIN}


@dataclass(frozen=True)
class Answer:
    """What came back before the connection ended; `status` is 0 when nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes
    seconds: float

    @classmethod
    def read(cls, raw: bytes, seconds: float) -> Self:
        head, _, body = raw.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        return cls(int(line.split(" ")[1]) if line else 0, headers, body, raw, seconds)

    @property
    def problem(self) -> Problem:
        """Read the body as problem details, which repeat nothing of the probe."""
        assert self.headers["content-type"] == "application/problem+json"
        assert CANARY.encode() not in self.raw
        problem = Problem.model_validate(json.loads(self.body))
        assert problem.status == self.status
        assert problem.request_id == self.headers["x-request-id"]
        return problem


@dataclass(frozen=True)
class Api:
    """The process, its public port, its log, and the header fields with the credential."""

    pid: int
    port: int
    log: Path
    credential: Sequence[str]

    async def send(self, *parts: bytes, pause: float = 0) -> Answer:
        """Write the parts with a pause between them, and read until the server ends the connection."""
        started = monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writing = asyncio.create_task(write(writer, parts, pause))
        received = b""
        try:
            async with asyncio.timeout(15):
                while part := await reader.read(65536):
                    received += part
        except ConnectionResetError:
            pass
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            writer.close()
        return Answer.read(received, monotonic() - started)

    def head(self, line: str = "GET /v1/notes HTTP/1.1", *fields: str) -> bytes:
        """Write the head of a request up to its last field, of somebody who may do everything."""
        return "".join(f"{part}\r\n" for part in (line, "Host: test", *self.credential, *fields)).encode("latin-1")

    async def ask(self, line: str, *headers: str, body: bytes = b"") -> Answer:
        """Send one request that ends its connection."""
        length = [f"Content-Length: {len(body)}"] if body else []
        return await self.send(self.head(f"{line} HTTP/1.1", "Connection: close", *headers, *length) + b"\r\n" + body)

    async def post(self, body: bytes, *headers: str, media_type: str = "application/json") -> Answer:
        """Send a body as a new note."""
        key = f"Idempotency-Key: {secrets.token_hex(8)}"
        return await self.ask("POST /v1/notes", key, f"Content-Type: {media_type}", *headers, body=body)


async def write(writer: asyncio.StreamWriter, parts: tuple[bytes, ...], pause: float) -> None:
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause)


@contextmanager
def running(database: str, folder: Path, **variables: str) -> Generator[Api]:
    """Run the API until the block ends."""
    public, operations, worker = free_ports(3)
    environment = environment_of(database, public, operations, worker) | variables
    fields = credential(environment, "notes:read notes:write")
    log = folder / "api.log"
    with log.open("wb") as output:
        arguments = [sys.executable, "-m", "tests.sample", "api"]
        process = subprocess.Popen(arguments, env=environment, stdout=output, stderr=output)
    try:
        wait_for(process, f"http://127.0.0.1:{operations}/livez")
        yield Api(process.pid, public, log, [f"{name}: {value}" for name, value in fields.items()])
    finally:
        process.terminate()
        process.wait(30)


def wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = monotonic() + 30
    while process.poll() is None and monotonic() < deadline:
        try:
            with urlopen(url):  # noqa: S310  # it is ours
                return
        except URLError:
            sleep(0.05)
    raise AssertionError("the API has not started")


@pytest.fixture(scope="session")
def process(server: Server, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Api]:
    """The process, on a database of its own that no test empties."""
    database = asyncio.run(server.copy(f"{worker_id}_hostile"))
    with running(database, tmp_path_factory.mktemp("api"), **SETTINGS) as api:
        yield api


@pytest.fixture
async def api(process: Api) -> AsyncGenerator[Api]:
    """The process; after each probe it still takes and gives a note, and has logged nothing of the probe."""
    logged = process.log.stat().st_size
    yield process
    assert (await process.post(b'{"text": "still here"}')).status == 201
    assert (await process.ask("GET /v1/notes")).status == 200
    with process.log.open("rb") as log:
        log.seek(logged)
        lines = log.read()
    assert CANARY.encode() not in lines
    assert b"Traceback" not in lines
    records: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
    assert all(0 < record.get("status", 200) < 500 for record in records)
