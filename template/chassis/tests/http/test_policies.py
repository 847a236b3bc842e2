"""Every route states which callers it admits, and decides that before it does anything else."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from httpx import AsyncClient
from starlette.routing import Route

from chassis.http import Public, Reading, RouteInvalid, Router, create_application, requires, without_policy
from chassis.identity import Authentication, Principal, refuse_everyone
from chassis.identity.api_keys import api_keys
from chassis.identity.oidc import oidc
from chassis.ops import principal
from chassis.runtime import Service
from chassis.settings import EdgeSettings, load
from chassis.testing import client_of

from tests.http.applications import INFO, application_of

type Reader = Annotated[Principal, requires("notes:read")]


def planted() -> Iterator[Router]:
    """Make routers with one route each, and none has its policy where it must be."""
    for dependencies in ([], [Depends(lambda: None)]):
        bare = Router("/planted", tags=["planted"])
        bare.add_api_route("", lambda: None, dependencies=dependencies)
        yield bare

    late = Router("/planted", tags=["planted"])

    @late.get("")
    async def _(_connection: Reading, _caller: Reader) -> None: ...

    yield late
    outer = Router("/outer", tags=["planted"])
    outer.include_router(late)
    yield outer


def test_every_route_has_its_policy_first(service: Service) -> None:
    routes = service.create_api(docs=True).routes
    assert len(routes) >= 1
    assert list(without_policy(routes)) == []


@pytest.mark.parametrize("router", [*planted()])
def test_a_route_without_its_policy_first_is_found(router: Router) -> None:
    [found] = without_policy(router.routes)
    assert found.endswith("/planted")
    with pytest.raises(RouteInvalid, match=r"no policy as the first parameter of .*/planted"):
        application_of(router)


@pytest.mark.parametrize("router", [*planted()])
def test_a_service_without_authentication_needs_no_policies(router: Router) -> None:
    assert create_application(INFO, [router], None, load(EdgeSettings)).routes


def test_a_policy_may_be_the_whole_routers() -> None:
    outer, inner = Router("/outer", tags=["planted"]), Router("/inner", tags=["planted"])
    inner.add_api_route("", lambda: None)
    outer.include_router(inner, dependencies=[requires("notes:read")])
    assert list(without_policy(outer.routes)) == []


async def _answer(_request: Request) -> Response:
    return Response()


def plain() -> Iterator[Router]:
    """Make routers with one route each, which closes no transaction."""
    outer, inner = Router("/outer", tags=["planted"]), APIRouter(prefix="/planted")
    inner.add_api_route("", lambda: None)
    outer.include_router(inner)
    yield outer
    bare = Router("/bare", tags=["planted"])
    bare.routes.append(Route("/planted", _answer))
    yield bare


@pytest.mark.parametrize("router", [*plain()])
def test_a_route_of_another_router_is_refused(router: Router) -> None:
    with pytest.raises(RouteInvalid, match="/planted is on no `Router`: import it from"):
        create_application(INFO, [router], None, load(EdgeSettings))


async def test_the_principal_is_known_before_the_route_runs_and_forgotten_after(
    api: FastAPI, client: AsyncClient
) -> None:
    router = Router("/v1", tags=["known"])

    @router.get("/known")
    async def known(_caller: Reader) -> str:
        return principal.get()

    @router.get("/public")
    async def public(_caller: Public) -> str:
        return principal.get()

    api.include_router(router)
    assert (await client.get("/v1/known")).json() == "alice"
    assert (await client.get("/v1/public")).json() == ""


async def test_an_application_whose_authentication_is_not_open_refuses_all(api: FastAPI, client: AsyncClient) -> None:
    api.state.authenticate = refuse_everyone
    answer = await client.get("/v1/notes")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_scope_that_is_missing_is_named(api: FastAPI, client: AsyncClient) -> None:
    async def reader(*_: object) -> Principal:
        return Principal("alice", frozenset({"notes:read"}))

    api.state.authenticate = reader
    assert (await client.get("/v1/notes")).status_code == 200
    answer = await client.post("/v1/notes", json={"text": "a"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem-type:forbidden")
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="notes:write"'
    assert answer.json()["detail"] == "The credential lacks the scope notes:write."


async def test_a_test_may_give_its_caller_some_scopes_only(api: FastAPI) -> None:
    async with client_of(api, "alice", ["notes:read"]) as reader, client_of(api, "alice", []) as nobody:
        assert (await reader.get("/v1/notes")).status_code == 200
        assert (await reader.post("/v1/notes", json={"text": "a"})).status_code == 403
        assert (await nobody.get("/v1/notes")).status_code == 403


async def test_of_several_scopes_those_that_are_missing_are_named(api: FastAPI, client: AsyncClient) -> None:
    async def reader(*_: object) -> Principal:
        return Principal("alice", frozenset({"notes:read"}))

    api.state.authenticate = reader
    router = Router("/v1/guarded", tags=["guarded"])
    router.add_api_route("", lambda: None, dependencies=[requires("notes:read", "notes:write", "notes:share")])
    api.include_router(router)
    answer = await client.get("/v1/guarded")
    assert answer.json()["detail"] == "The credential lacks the scopes notes:write and notes:share."
    assert 'scope="notes:read notes:write notes:share"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YWxpY2U6", "Bearer a b", "Bearer é", "Bearer " + "a" * 16_385])
async def test_what_is_no_bearer_credential_is_unauthorized(client: AsyncClient, header: str) -> None:
    answer = await client.get("/v1/notes", headers=[(b"authorization", header.encode())])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_of_two_credentials_none_counts(client: AsyncClient) -> None:
    del client.headers["authorization"]
    twice = [("authorization", "Bearer alice"), ("authorization", "Bearer bob")]
    assert (await client.get("/v1/notes", headers=twice)).status_code == 401
    assert (await client.get("/v1/notes", headers={"authorization": "bEARER alice"})).status_code == 200


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [(None, None), (oidc, [{"bearer": ["notes:read"]}]), (api_keys, [{"bearer": ["notes:read"]}])],
)
def test_the_document_names_scheme_and_scopes(
    authentication: Authentication | None, expected: list[dict[str, list[str]]] | None
) -> None:
    router = Router("/v1/documented", tags=["documented"])
    router.add_api_route("", lambda: None, dependencies=[requires("notes:read")])
    document = create_application(INFO, [router], authentication, load(EdgeSettings)).openapi()
    assert document["paths"]["/v1/documented"]["get"].get("security") == expected
    schemes = document["components"].get("securitySchemes", {})
    credential = authentication.credential if authentication else ""
    scheme = {"type": "http", "scheme": "bearer", "description": credential}
    assert schemes == ({"bearer": scheme} if authentication else {})
