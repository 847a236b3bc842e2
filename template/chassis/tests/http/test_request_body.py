"""A body is taken before the application runs, also where a module has a plain router."""

from collections.abc import AsyncGenerator

import pytest
from fastapi import Request
from httpx import AsyncClient

from chassis.http import Public, Router
from chassis.settings import EdgeSettings
from chassis.testing import client_of

from tests.http.applications import application_of

router = Router("/v1/plain", tags=["plain"])


@router.post("")
async def size(_caller: Public, request: Request, body: dict[str, float]) -> int:
    assert await request.json() == body
    return len(await request.body())


@pytest.fixture
async def plain() -> AsyncGenerator[AsyncClient]:
    edge = EdgeSettings.model_validate({"api_body_limit": 20})
    async with client_of(application_of(router, edge=edge)) as client:
        yield client


async def test_a_plain_router_gets_the_body_as_it_came(plain: AsyncClient) -> None:
    assert (await plain.post("/v1/plain", json={"a": 1})).json() == 7


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 20])
async def test_a_plain_router_gets_strict_json_only(plain: AsyncClient, body: bytes) -> None:
    answer = await plain.post("/v1/plain", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "The request body is not valid JSON.")


async def test_a_plain_router_gets_no_body_over_the_limit(plain: AsyncClient) -> None:
    async def parts() -> AsyncGenerator[bytes]:
        for _ in range(21):
            yield b" "

    assert (await plain.post("/v1/plain", content=b" " * 21)).status_code == 413
    assert (await plain.post("/v1/plain", content=parts())).status_code == 413
