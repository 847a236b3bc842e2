"""What a request leaves in the metrics: series of bounded number, whatever the caller sends."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from http import HTTPMethod
from itertools import product

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from prometheus_client import REGISTRY
from starlette.types import Message

from chassis.http import Public, Router
from chassis.testing import client_of

from tests.http.applications import application_of

METHODS = ("GET", "POST", "HEAD", "DELETE", "BREW", "get", "GET\n", "\u2603", "A" * 1000, "")
PATHS = (
    "/{}",
    "/v1/notes/{}",
    "/v1/notes/{}/{}",
    "/v1/notes?cursor={}",
    "/\u2603{}",
    "/%00{}",
    "/{{note_id}}{}",
    "//{}",
)
HEADERS = (
    b"",
    b'"',
    b"\xff\xfe",
    b"x" * 4000,
    b"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
)
FIELDS = (b"x-request-id", b"traceparent", b"content-type", b"origin", b"user-agent")

entered, leave = asyncio.Event(), asyncio.Event()
router = Router("/v1/waits", tags=["waits"])


@router.get("")
async def wait(_caller: Public) -> None:
    entered.set()
    await leave.wait()


@pytest.fixture
async def waiting() -> AsyncGenerator[AsyncClient]:
    entered.clear()
    leave.clear()
    async with client_of(application_of(router)) as client:
        yield client


def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Name each series there is, with its labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in REGISTRY.collect()
        for sample in family.samples
    }


async def send(api: FastAPI, method: str, path: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Send a request past the parser of HTTP, which would refuse many of them."""
    path, _, query = path.partition("?")

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def ignore(_message: Message) -> None:
        """Leave the answer unread."""

    await api(
        {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "scheme": "http",
            "client": ("203.0.113.1", 1),
            "root_path": "",
        },
        receive,
        ignore,
    )


async def test_ten_thousand_odd_requests_make_no_series(api: FastAPI) -> None:
    odd = [*product(METHODS, PATHS, HEADERS, FIELDS)]
    numbers = iter(range(20_000))

    async def send_all() -> None:
        for method, path, value, field in odd:
            number = next(numbers)
            await send(api, method, path.format(number, number), [(field, value + str(number).encode())])

    await send_all()
    earlier = series()
    for _ in range(5):
        await send_all()
    assert series() == earlier
    methods = {dict(labels).get("method", "_OTHER") for _, labels in earlier}
    assert methods <= {*HTTPMethod, "_OTHER"}


async def test_the_size_of_a_body_is_observed_and_a_request_without_one_is_not(client: AsyncClient) -> None:
    def observed(method: str) -> float | None:
        labels = {"method": method, "route": "/v1/notes", "le": "100.0"}
        return REGISTRY.get_sample_value("http_request_body_bytes_bucket", labels)

    earlier = observed("POST") or 0
    await client.post("/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": "a"})
    await client.post("/v1/notes", json={"text": "a" * 100}, headers={"Idempotency-Key": "b"})
    await client.get("/v1/notes")
    assert observed("POST") == earlier + 1
    assert observed("GET") is None


async def test_a_request_is_in_flight_until_it_is_answered(waiting: AsyncClient) -> None:
    def in_flight() -> float | None:
        return REGISTRY.get_sample_value("http_requests_in_flight")

    assert in_flight() == 0
    request = asyncio.create_task(waiting.get("/v1/waits"))
    await entered.wait()
    assert in_flight() == 1
    leave.set()
    await request
    assert in_flight() == 0


async def test_a_tenth_of_a_second_is_a_bucket(client: AsyncClient) -> None:
    """The objective of reads."""
    await client.get("/v1/notes")
    labels = {"method": "GET", "route": "/v1/notes", "le": "0.1"}
    assert REGISTRY.get_sample_value("http_request_duration_seconds_bucket", labels)
