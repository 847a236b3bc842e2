"""The database stops, freezes or is cut off under load: callers are told so soon, and it goes on by itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import perf_counter
from typing import Literal, NamedTuple

from httpx import AsyncClient

from tests.faults.conftest import Record
from tests.faults.fleet import Fleet, Started
from tests.faults.ledger import Ledger
from tests.faults.proxy import Proxy, proxy
from tests.faults.scale import pick
from tests.faults.server import Postgres

type Fault = Literal["stopped", "frozen", "resets", "is silent", "is slow"]

SHORT: list[Fault] = ["stopped", "frozen"]
FAULTS: list[Fault] = pick(short=SHORT, full=[*SHORT, "resets", "is silent", "is slow"])
SECONDS = pick(short=2.5, full=10)
# At full scale, the limits are those that a backend has by default.
LIMITS = pick(short={"DATABASE_POOL_TIMEOUT": "1", "DATABASE_STATEMENT_TIMEOUT": "1"}, full=dict[str, str]())
# What a caller is promised, whatever happens to the database.
LONGEST_SECONDS = 5
RECOVERY_SECONDS = 5
CALLERS = 5


class Answer(NamedTuple):
    status: int
    retry_after: str | None
    seconds: float


class Faults:
    """What can be done to the database, and how it is undone."""

    def __init__(self, server: Postgres, proxy: Proxy) -> None:
        self._server = server
        self._proxy = proxy

    async def begin(self, fault: Fault) -> None:
        match fault:
            case "stopped":
                await asyncio.to_thread(self._server.kill)
            case "frozen":
                await asyncio.to_thread(self._server.freeze)
            case "resets" | "is silent" | "is slow":
                self._proxy.turn(fault)

    async def end(self) -> None:
        self._proxy.turn("passes")
        await asyncio.to_thread(self._server.thaw)
        await asyncio.to_thread(self._server.start)


class Caller:
    """Asks the API for notes."""

    def __init__(self, api: Started, credential: dict[str, str]) -> None:
        self._api = api
        self._credential = credential

    @asynccontextmanager
    async def asking(self) -> AsyncGenerator[list[Answer]]:
        """Have several ask for the length of the block."""
        stop, answers = asyncio.Event(), list[Answer]()
        async with self._client() as client, asyncio.TaskGroup() as group:

            async def ask() -> None:
                while not stop.is_set():
                    answers.append(await _answer_of(client))
                    await asyncio.sleep(0.02)

            for _ in range(CALLERS):
                group.create_task(ask())
            try:
                yield answers
            finally:
                stop.set()

    async def health(self) -> tuple[int, int]:
        """Answer whether it lives and whether it is ready."""
        async with AsyncClient(base_url=self._api.operations, timeout=30) as client:
            return (await client.get("/livez")).status_code, (await client.get("/readyz")).status_code

    async def seconds_until_answered(self) -> float:
        began = perf_counter()
        async with self._client() as client, asyncio.timeout(30):
            while (await _answer_of(client)).status != HTTPStatus.OK:
                await asyncio.sleep(0.02)
        return perf_counter() - began

    def _client(self) -> AsyncClient:
        return AsyncClient(base_url=self._api.url, headers=self._credential, timeout=30)


async def _answer_of(client: AsyncClient) -> Answer:
    began = perf_counter()
    answer = await client.get("/v1/notes")
    return Answer(answer.status_code, answer.headers.get("retry-after"), perf_counter() - began)


async def test_callers_are_told_soon_and_it_goes_on_by_itself(fleet: Fleet, server: Postgres, record: Record) -> None:
    credential = await asyncio.to_thread(fleet.credential)
    async with proxy(server.port) as between:
        through = fleet.database.replace(f":{server.port}/", f":{between.port}/")
        api = await fleet.start("api", variables={"DATABASE_URL": through, **LIMITS})
        caller = Caller(api, credential)
        for fault in FAULTS:
            await befall(fault, caller, Faults(server, between), record)


async def befall(fault: Fault, caller: Caller, faults: Faults, record: Record) -> None:
    """Have a fault for a while, amid requests, and see what is answered."""
    async with caller.asking() as answers:
        await asyncio.sleep(0.5)
        await faults.begin(fault)
        await asyncio.sleep(SECONDS)
        health = await caller.health()
        await faults.end()
        recovery = await caller.seconds_until_answered()
    slowest = max(answer.seconds for answer in answers)
    record(Ledger(), [], recovery, f"{fault}: {len(answers)} answers, the slowest after {slowest:.1f} s")
    is_hidden = fault == "is slow"
    assert {answer.status for answer in answers} == ({200} if is_hidden else {200, 503})
    assert all(answer.retry_after for answer in answers if answer.status == HTTPStatus.SERVICE_UNAVAILABLE)
    assert health == (200, 200 if is_hidden else 503)
    assert slowest < LONGEST_SECONDS
    assert recovery < RECOVERY_SECONDS
