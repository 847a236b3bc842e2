"""Each route has a budget of statements, however many items it answers with: none asks once an item."""

from uuid import uuid4

import pytest
from fastapi.routing import APIRoute
from httpx import AsyncClient

from chassis.data import Database
from chassis.http import Public, Reading, Router, connect
from chassis.jobs import Outbox
from chassis.runtime import Service
from chassis.testing import client_of

from tests.http.applications import application_of
from tests.sample.modules.notes import persistence, service

# Claim, insert, queue, keep the answer, and read back how a job stands; a read is one; a change locks and writes.
BUDGETS = {
    "POST /v1/notes": 4,
    "POST /v1/notes/recount": 5,
    "GET /v1/notes": 1,
    "GET /v1/notes/{note_id}": 1,
    "PATCH /v1/notes/{note_id}": 2,
}


async def spent(client: AsyncClient, statements: list[str], request: str, note_id: str) -> int:
    """Send a request that succeeds and count its statements."""
    method, path = request.split()
    body = None if method == "GET" else {"text": "a note"}
    headers = {"Idempotency-Key": "spent", "If-Match": "*"} if body else {}
    statements.clear()
    answer = await client.request(method, path.format(note_id=note_id), json=body, headers=headers)
    assert answer.is_success
    return len(statements)


async def take_ten(client: AsyncClient) -> list[str]:
    """Take ten notes and give their ids."""
    keys = [str(uuid4()) for _ in range(10)]
    taken = [await client.post("/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": key}) for key in keys]
    return [answer.json()["id"] for answer in taken]


@pytest.mark.parametrize("request_line", BUDGETS)
async def test_a_route_keeps_to_its_budget(client: AsyncClient, statements: list[str], request_line: str) -> None:
    note_id = (await take_ten(client))[0]
    assert await spent(client, statements, request_line, note_id) == BUDGETS[request_line]


def test_every_route_has_a_budget(service: Service) -> None:
    [notes] = service.modules
    assert notes.router
    routes = [route for route in notes.router.routes if isinstance(route, APIRoute)]
    assert {f"{method} {route.path}" for route in routes for method in route.methods or ()} == set(BUDGETS)


async def test_a_route_that_asks_once_an_item_would_be_found(
    database: Database, outbox: Outbox, client: AsyncClient, statements: list[str]
) -> None:
    router = Router("/v1/slow", tags=["slow"])

    @router.get("")
    async def slow(_caller: Public, connection: Reading) -> int:
        notes = await persistence.list_before(connection, "alice", None, 100)
        return len([await service.get(connection, "alice", note.id) for note in notes])

    await take_ten(client)
    api = application_of(router)
    connect(api, database, outbox)
    async with client_of(api) as other:
        assert await spent(other, statements, "GET /v1/slow", "") == 11
