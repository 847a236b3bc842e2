"""A route that will go says so in every answer and in the document."""

from collections.abc import AsyncGenerator
from datetime import date

import pytest
from httpx import AsyncClient

from chassis.errors import NotFound
from chassis.http import Public, Router, deprecated
from chassis.testing import client_of

from tests.http.applications import application_of

router = Router("/v1", tags=["old"])
GOING = deprecated(
    since=date(2026, 1, 1),
    sunset=date(2027, 1, 1),
    link="https://docs.example/old",
    successor="https://api.example/v2/new",
)


@router.get("/old/{number}", deprecated=True, dependencies=[GOING])
async def old(_caller: Public, number: int) -> int:
    if number == 0:
        raise NotFound
    return number // (number - 1)


@router.get("/new")
async def new(_caller: Public) -> None: ...


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with client_of(application_of(router, docs=True)) as client:
        yield client


@pytest.mark.parametrize(("path", "status"), [("2", 200), ("0", 404), ("x", 422), ("1", 500)])
async def test_every_answer_says_since_when_and_until_when(client: AsyncClient, path: str, status: int) -> None:
    answer = await client.get(f"/v1/old/{path}")
    assert answer.status_code == status
    assert answer.headers["deprecation"] == "@1767225600"
    assert answer.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert answer.headers.get_list("link") == [
        '<https://docs.example/old>; rel="deprecation"',
        '<https://docs.example/old>; rel="sunset"',
        '<https://api.example/v2/new>; rel="successor-version"',
    ]


async def test_other_routes_say_nothing(client: AsyncClient) -> None:
    assert not {"deprecation", "sunset", "link"} & set((await client.get("/v1/new")).headers)


async def test_the_document_marks_the_operation(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert paths["/v1/old/{number}"]["get"]["deprecated"] is True
    assert "deprecated" not in paths["/v1/new"]["get"]
