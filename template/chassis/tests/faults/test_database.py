"""The database stops, freezes or is cut off under load: callers soon get 503, and the API recovers by itself."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import perf_counter
from typing import NamedTuple
from uuid import uuid4

from httpx import AsyncClient, Response

from chassis.data import Database

from tests.faults.conftest import Record
from tests.faults.fleet import Fleet, Started
from tests.faults.ledger import Ledger
from tests.faults.outages import (
    ALL,
    Outage,
    Outages,
    outages,
)
from tests.faults.scale import pick
from tests.faults.server import Postgres

OUTAGES: tuple[Outage, ...] = pick(short=("stopped", "frozen"), full=ALL)
SECONDS = pick(short=2.5, full=10)
# At full scale, the limits are those that a backend has by default.
LIMITS = pick(short={"DATABASE_POOL_TIMEOUT": "1", "DATABASE_STATEMENT_TIMEOUT": "1"}, full=dict[str, str]())
# What a caller is promised, whatever happens to the database.
MAX_SECONDS = 5
RECOVERY_SECONDS = 5
# Of each kind.
CALLERS = 4
TAKE = "DELETE FROM notes RETURNING text"

type Send = Callable[[AsyncClient], Awaitable[Answer]]


class Answer(NamedTuple):
    status: int
    retry_after: str | None
    seconds: float


class Caller:
    """Reads and takes notes."""

    def __init__(self, api: Started, credential: dict[str, str]) -> None:
        self.ledger = Ledger()
        self._api = api
        self._credential = credential

    @asynccontextmanager
    async def asking(self) -> AsyncGenerator[list[Answer]]:
        """Have several ask for the length of the block, some to read and some to write."""
        stop, answers = asyncio.Event(), list[Answer]()
        async with self._client() as client, asyncio.TaskGroup() as group:

            async def ask(send: Send) -> None:
                while not stop.is_set():
                    answers.append(await send(client))
                    await asyncio.sleep(0.02)

            for _ in range(CALLERS):
                group.create_task(ask(read))
                group.create_task(ask(self._write))
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
            while (await read(client)).status != HTTPStatus.OK:
                await asyncio.sleep(0.02)
        return perf_counter() - began

    async def _write(self, client: AsyncClient) -> Answer:
        text = str(uuid4())
        answer = await _timed(client.post("/v1/notes", json={"text": text}, headers={"Idempotency-Key": text}))
        (self.ledger.acknowledged if answer.status == HTTPStatus.CREATED else self.ledger.unknown).add(text)
        return answer

    def _client(self) -> AsyncClient:
        return AsyncClient(base_url=self._api.url, headers=self._credential, timeout=30)


async def read(client: AsyncClient) -> Answer:
    return await _timed(client.get("/v1/notes"))


async def _timed(asked: Awaitable[Response]) -> Answer:
    began = perf_counter()
    answer = await asked
    return Answer(answer.status_code, answer.headers.get("retry-after"), perf_counter() - began)


async def test_callers_soon_get_503_and_the_api_recovers_by_itself(
    fleet: Fleet, server: Postgres, database: Database, record: Record
) -> None:
    credential = await asyncio.to_thread(fleet.credential)
    async with outages(fleet.database, server) as between:
        api = await fleet.start("api", variables={"DATABASE_URL": between.url, **LIMITS})
        for outage in OUTAGES:
            caller = Caller(api, credential)
            recovery, beside = await through(outage, caller, between)
            taken = [row["text"] for row in await database.fetch(TAKE)]
            record(caller.ledger, taken, recovery, f"{outage}: {beside}")


async def through(outage: Outage, caller: Caller, between: Outages) -> tuple[float, str]:
    """Have an outage for a while, amid requests, and see what is answered."""
    async with caller.asking() as answers:
        await asyncio.sleep(0.5)
        await between.begin(outage)
        await asyncio.sleep(SECONDS)
        health = await caller.health()
        await between.end()
        recovery = await caller.seconds_until_answered()
    slowest = max(answer.seconds for answer in answers)
    is_hidden = outage == "is slow"
    assert {answer.status for answer in answers} == ({200, 201} if is_hidden else {200, 201, 503})
    assert all(answer.retry_after for answer in answers if answer.status == HTTPStatus.SERVICE_UNAVAILABLE)
    assert health == (200, 200 if is_hidden else 503)
    assert slowest < MAX_SECONDS
    assert recovery < RECOVERY_SECONDS
    return recovery, f"{len(answers)} answers, the slowest after {slowest:.1f} s"
