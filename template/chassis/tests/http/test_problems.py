"""Every answer that is not a success is problem details, and none repeats what the caller sent."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import HTTPException
from httpx import AsyncClient, Response
from pydantic import Field

from chassis.errors import Error, NotFound
from chassis.http import Problem, Public, Router
from chassis.http._openapi import MEDIA_TYPE
from chassis.testing import client_of

from tests.http.applications import application_of

CANARY = "canary-4711"


def problem_of(answer: Response) -> Problem:
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert CANARY not in answer.text
    problem = Problem.model_validate(answer.json())
    assert problem.status == answer.status_code
    assert problem.request_id == answer.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", problem.trace_id)
    assert problem.type.startswith("urn:problem-type:")
    return problem


async def test_an_unknown_path(client: AsyncClient) -> None:
    problem = problem_of(await client.get(f"/{CANARY}"))
    assert (problem.status, problem.type) == (404, "urn:problem-type:not-found")


async def test_a_method_that_is_not_allowed_says_which_are(client: AsyncClient) -> None:
    answer = await client.delete("/v1/notes")
    assert problem_of(answer).type == "urn:problem-type:method-not-allowed"
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_an_error_of_a_module(client: AsyncClient) -> None:
    problem = problem_of(await client.get("/v1/notes/01890000-0000-7000-8000-000000000000"))
    assert (problem.status, problem.type, problem.title) == (
        404,
        "urn:problem-type:note-not-found",
        "Note not found",
    )


@pytest.mark.parametrize("body", ["", "{", '{"text": "' + CANARY, "nul", "[" * 100_000, b"\xff\xfe"])
async def test_a_body_that_is_not_json(client: AsyncClient, body: str | bytes) -> None:
    answer = await client.post("/v1/notes", content=body, headers={"content-type": "application/json"})
    assert problem_of(answer).status in {400, 422}


async def test_violations_say_where_and_why(client: AsyncClient) -> None:
    body = {"text": "", "parent_id": CANARY, CANARY: 1}
    problem = problem_of(await client.post("/v1/notes", json=body, headers={"Idempotency-Key": "a"}))
    assert problem.status == 422
    places = [(violation.location, violation.pointer) for violation in problem.errors or []]
    assert places == [("body", "/text"), ("body", "/parent_id"), ("body", "")]


async def test_an_empty_list_is_said_to_be_empty() -> None:
    router = Router("/v1/listing", tags=["listing"])

    @router.post("")
    async def take(_caller: Public, lines: Annotated[list[int], Field(min_length=1)]) -> None: ...

    async with client_of(application_of(router)) as client:
        problem = problem_of(await client.post("/v1/listing", json=[]))
    assert [violation.detail for violation in problem.errors or []] == ["Must not be empty"]


async def test_an_id_that_is_none_is_not_quoted(client: AsyncClient) -> None:
    problem = problem_of(await client.get(f"/v1/notes/{CANARY}"))
    assert [violation.detail for violation in problem.errors or []] == ["Input should be a valid UUID"]


async def test_a_wrong_query_parameter(client: AsyncClient) -> None:
    problem = problem_of(await client.get("/v1/notes", params={"limit": "-1"}))
    assert [violation.pointer for violation in problem.errors or []] == ["/limit"]


def test_the_type_comes_from_the_name_of_the_class() -> None:
    class CouponExpired(NotFound):
        title = "The coupon has expired"

    assert CouponExpired.type == "urn:problem-type:coupon-expired"
    assert str(CouponExpired()) == "The coupon has expired"
    assert Error("why").detail == "why"


async def test_what_the_framework_raises_is_of_the_catalogue_too() -> None:
    router = Router("/v1/raising", tags=["raising"])

    @router.get("/{status}")
    async def get(_caller: Public, status: int) -> None:
        raise HTTPException(status, CANARY)

    async with client_of(application_of(router)) as client:
        assert problem_of(await client.get("/v1/raising/409")).type == "urn:problem-type:conflict"
        assert problem_of(await client.get("/v1/raising/403")).type == "urn:problem-type:forbidden"
        unlisted = [await client.get(f"/v1/raising/{status}") for status in (418, 499)]
    assert [answer.status_code for answer in unlisted] == [418, 499]
    assert {answer.json()["type"] for answer in unlisted} == {"about:blank"}


def kinds_of(parent: type[Error]) -> Iterator[type[Error]]:
    for kind in (parent, *parent.__subclasses__()):
        if kind.__module__.startswith("chassis.") and kind is not parent:
            yield from kinds_of(kind)
    yield parent


def test_the_reference_lists_every_error_of_the_chassis() -> None:
    text = (Path(__file__).parents[2] / "REFERENCE.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\S+)` \| (\d+) \| (.+?) \| \S", text, re.MULTILINE)
    kinds = {(kind.type.rpartition(":")[2], str(kind.status), kind.title) for kind in kinds_of(Error)}
    assert set(listed) == kinds
    assert len(listed) == len(kinds)
