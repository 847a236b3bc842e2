"""Orders over HTTP."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from chassis.data import Database
from httpx import AsyncClient

FIRST = {"If-Match": '"1"'}
LOCK_WAITS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
MISSING = "01890000-0000-7000-8000-000000000000"


def order(**changes: object) -> dict[str, Any]:
    line = {"sku": "TEA", "quantity": 2, "unit_price": 1_250}
    return {"reference": "A-1", "currency": "EUR", "lines": [line], **changes}


def line(**changes: object) -> dict[str, Any]:
    return order(lines=[{"sku": "TEA", "quantity": 2, "unit_price": 1_250, **changes}])


def new_key() -> dict[str, str]:
    """Give the header that makes a POST a new request, and not a retry."""
    return {"Idempotency-Key": str(uuid4())}


async def place(client: AsyncClient, **changes: object) -> dict[str, Any]:
    answer = await client.post("/v1/orders", json=order(**changes), headers=new_key())
    assert answer.status_code == 201
    placed: dict[str, Any] = answer.json()
    return placed


async def test_a_placed_order_can_be_read_where_its_location_says(client: AsyncClient) -> None:
    answer = await client.post("/v1/orders", json=order(), headers=new_key())
    assert answer.status_code == 201
    assert answer.json().items() >= (order() | {"total": 2_500, "status": "placed", "version": 1}).items()
    read = await client.get(answer.headers["location"])
    assert read.json() == answer.json()


async def test_the_lines_keep_their_order(client: AsyncClient) -> None:
    lines = [{"sku": f"S{number}", "quantity": number, "unit_price": 0} for number in range(100, 0, -1)]
    placed = await place(client, lines=lines)
    assert (await client.get(f"/v1/orders/{placed['id']}")).json()["lines"] == lines


async def test_the_largest_order_fits(client: AsyncClient) -> None:
    largest = [{"sku": "S" * 64, "quantity": 1_000, "unit_price": 10**12}] * 100
    assert (await place(client, reference="R" * 64, lines=largest))["total"] == 10**17


@pytest.mark.parametrize(
    "body",
    [
        order(reference=""),
        order(reference="R" * 65),
        order(reference="nul \x00"),
        order(reference=None),
        order(currency="eur"),
        order(currency="ZZZ"),
        order(lines=[]),
        order(lines=order()["lines"] * 101),
        order(total=1),
        order(status="confirmed"),
        order(id=MISSING),
        order(owner="bob"),
        order(version=7),
        line(sku=""),
        line(sku="nul \x00"),
        line(quantity=0),
        line(quantity=1_001),
        line(quantity=1.5),
        line(quantity="2"),
        line(quantity=True),
        line(unit_price=-1),
        line(unit_price=10**12 + 1),
        line(unit_price=2**63),
        line(discount=1),
    ],
)
async def test_an_invalid_order_is_refused(client: AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post("/v1/orders", json=body, headers=new_key())).status_code == 422
    assert (await client.get("/v1/orders")).json()["items"] == []


async def test_the_list_is_newest_first_and_by_status(client: AsyncClient) -> None:
    ids = [(await place(client))["id"] for _ in range(5)]
    await client.post(f"/v1/orders/{ids[1]}/cancel")
    listed = (await client.get("/v1/orders", params={"limit": 3})).json()
    assert [item["id"] for item in listed["items"]] == [ids[4], ids[3], ids[2]]
    rest = (await client.get("/v1/orders", params={"cursor": listed["next_cursor"], "status": "placed"})).json()
    assert [item["id"] for item in rest["items"]] == [ids[0]]
    assert rest["next_cursor"] is None


async def test_the_reference_can_be_changed(client: AsyncClient) -> None:
    placed = await place(client)
    answer = await client.patch(f"/v1/orders/{placed['id']}", json={"reference": "B-2"}, headers=FIRST)
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert (answer.json()["reference"], answer.json()["version"]) == ("B-2", 2)
    assert (await client.get(f"/v1/orders/{placed['id']}")).json() == answer.json()


async def test_one_of_several_concurrent_changes_is_made(client: AsyncClient) -> None:
    path = f"/v1/orders/{(await place(client))['id']}"
    changes = [client.patch(path, json={"reference": f"B-{number}"}, headers=FIRST) for number in range(8)]
    answers = await asyncio.gather(*changes)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    assert (await client.get(path)).json()["version"] == 2


async def test_a_change_waits_for_another_and_then_sees_its_version(client: AsyncClient, database: Database) -> None:
    placed = await place(client)
    async with database.transaction() as connection:
        await connection.execute("UPDATE orders SET version = 2 WHERE id = $1::text::uuid", placed["id"])
        path = f"/v1/orders/{placed['id']}"
        change = asyncio.create_task(client.patch(path, json={"reference": "B-2"}, headers=FIRST))
        async with asyncio.timeout(20):
            while not await database.fetchval(LOCK_WAITS):
                await asyncio.sleep(0.01)
    assert (await change).status_code == 412


async def test_only_the_reference_can_be_changed(client: AsyncClient) -> None:
    placed = await place(client)
    answer = await client.patch(f"/v1/orders/{placed['id']}", json={"reference": "B-2", "status": "confirmed"})
    assert answer.status_code == 422


async def test_an_order_is_cancelled_once(client: AsyncClient) -> None:
    placed = await place(client)
    for _ in range(2):
        answer = await client.post(f"/v1/orders/{placed['id']}/cancel")
        assert (answer.status_code, answer.json()["status"], answer.json()["version"]) == (200, "cancelled", 2)


@pytest.mark.parametrize(
    ("method", "path", "body"), [("GET", "", None), ("PATCH", "", {"reference": "B-2"}), ("POST", "/cancel", None)]
)
async def test_a_missing_order_is_not_found(
    client: AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    answer = await client.request(method, f"/v1/orders/{MISSING}{path}", json=body)
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:problem-type:order-not-found"


FOREIGN: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "", {}),
    ("GET", "/history", {}),
    ("GET", "", {"headers": {"If-None-Match": "*"}}),
    ("PATCH", "", {"json": {"reference": "B-2"}}),
    ("PATCH", "", {"json": {"reference": "B-2"}, "headers": FIRST}),
    ("POST", "/cancel", {}),
]


@pytest.mark.parametrize(("method", "path", "sent"), FOREIGN)
async def test_the_order_of_another_owner_answers_as_a_missing_one(
    client: AsyncClient, stranger: AsyncClient, method: str, path: str, sent: dict[str, Any]
) -> None:
    placed = await place(client)
    answers = [
        await stranger.request(method, f"/v1/orders/{order_id}{path}", **sent) for order_id in (placed["id"], MISSING)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    foreign, missing = (answer.json() | {"request_id": "", "trace_id": ""} for answer in answers)
    assert foreign == missing
    assert (await client.get(f"/v1/orders/{placed['id']}")).json() == placed


@pytest.mark.parametrize("status", [None, "placed"])
async def test_a_list_and_its_cursors_are_the_callers_own(
    client: AsyncClient, stranger: AsyncClient, status: str | None
) -> None:
    own, other = [await place(client) for _ in range(2)], await place(stranger)
    params = {"status": status} if status else {}
    listed = (await client.get("/v1/orders", params=params)).json()["items"]
    assert [item["id"] for item in listed] == [own[1]["id"], own[0]["id"]]
    assert [item["id"] for item in (await stranger.get("/v1/orders", params=params)).json()["items"]] == [other["id"]]
    cursor = (await client.get("/v1/orders", params=params | {"limit": "1"})).json()["next_cursor"]
    assert (await stranger.get("/v1/orders", params=params | {"cursor": cursor})).status_code == 400


async def test_a_key_is_scoped_by_principal(client: AsyncClient, stranger: AsyncClient) -> None:
    key = {"Idempotency-Key": "the-same"}
    first, second = [await each.post("/v1/orders", json=order(), headers=key) for each in (client, stranger)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


@pytest.mark.parametrize("field", ["owner", "id", "version", "total"])
async def test_a_change_of_another_field_is_refused(client: AsyncClient, field: str) -> None:
    placed = await place(client)
    body = {"reference": "B-2", field: "7"}
    assert (await client.patch(f"/v1/orders/{placed['id']}", json=body, headers=FIRST)).status_code == 422
