"""Routers within routers: every route is known by its whole path."""

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from prometheus_client import REGISTRY

from chassis.data import Database
from chassis.http import IdempotentTransaction, Public, RouteInvalid, Router, connect
from chassis.jobs import Outbox
from chassis.testing import client_of

from tests.http.applications import application_of

lines = Router("/lines", tags=["lines"])


@lines.get("/{number}")
async def get(_caller: Public, number: int) -> int:
    return number


@lines.post("/{number}")
async def add(_caller: Public, number: int, _transaction: IdempotentTransaction) -> int:
    return number


@pytest.fixture
def nested(database: Database, outbox: Outbox) -> FastAPI:
    """An API whose one router has another in it, at two places."""
    router = Router("/v1", tags=["places"])
    router.include_router(lines, prefix="/boxes")
    router.include_router(lines, prefix="/shelves")
    api = application_of(router)
    connect(api, database, outbox)
    return api


def count(route: str) -> float:
    return REGISTRY.get_sample_value("http_requests_total", {"method": "GET", "route": route, "status": "200"}) or 0


async def test_a_request_is_counted_under_the_whole_template(nested: FastAPI) -> None:
    async with client_of(nested) as client:
        for where in ("boxes", "shelves"):
            template = f"/v1/{where}/lines/" + "{number}"
            before = count(template)
            assert (await client.get(f"/v1/{where}/lines/1")).json() == 1
            assert count(template) == before + 1


async def test_a_method_that_is_not_there_is_answered_with_those_that_are(nested: FastAPI) -> None:
    async with client_of(nested) as client:
        answer = await client.delete("/v1/boxes/lines/1")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
        assert (await client.head("/v1/shelves/lines/1")).status_code == 200


async def add_twice(client: AsyncClient, *paths: str) -> list[str | None]:
    """Say whether each answer is a repetition."""
    answers = [await client.post(path, headers={"idempotency-key": "one"}) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.headers.get("idempotency-replayed") for answer in answers]


async def test_a_key_counts_for_the_whole_template(nested: FastAPI) -> None:
    async with client_of(nested) as client:
        paths = ("/v1/boxes/lines/1", "/v1/shelves/lines/1", "/v1/shelves/lines/1")
        assert await add_twice(client, *paths) == [None, None, "true"]


@lines.post("/sort")
async def sort(_caller: Public) -> str:
    return "sorted"


async def test_a_path_that_a_route_has_word_for_word_is_no_value_of_anothers(nested: FastAPI) -> None:
    """Though the other comes first, and takes more methods."""
    async with client_of(nested) as client:
        assert (await client.post("/v1/boxes/lines/sort")).json() == "sorted"
        for method in ("GET", "DELETE"):
            answer = await client.request(method, "/v1/boxes/lines/sort")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("other", ["/v1/boxes/{box}", "/v1/boxes/{name}"])
def test_two_routes_of_one_method_and_path_are_refused(other: str) -> None:
    """Whatever the names of the path's parameters are."""
    router = Router("", tags=["places"])
    router.add_api_route("/v1/boxes/{box}", get, methods=["GET"])
    router.add_api_route(other, get, methods=["GET", "POST"])
    name = "tests.http.test_routes.get"
    with pytest.raises(RouteInvalid, match=rf"{name} and {name} both have GET {other}: change one path"):
        application_of(router)


def test_routes_that_differ_in_method_path_or_convertor_are_none_of_that() -> None:
    router = Router("/v1/boxes", tags=["places"])
    for path, method in (("/{box}", "GET"), ("/{box}", "DELETE"), ("/{box:int}", "GET"), ("/{box}/lid", "GET")):
        router.add_api_route(path, get, methods=[method])
    assert len(application_of(router).routes) == 4
