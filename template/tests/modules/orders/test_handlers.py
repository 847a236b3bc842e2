"""What the worker does with orders."""

from chassis.data import Database
from chassis.testing import Drain
from httpx import AsyncClient

from tests.modules.orders.test_api import place


async def test_a_placed_order_is_confirmed(client: AsyncClient, drain: Drain) -> None:
    placed = await place(client)
    await drain()
    confirmed = (await client.get(f"/v1/orders/{placed['id']}")).json()
    assert (confirmed["status"], confirmed["version"]) == ("confirmed", 2)


async def test_a_confirmed_order_is_not_cancelled(client: AsyncClient, drain: Drain) -> None:
    placed = await place(client)
    await drain()
    answer = await client.post(f"/v1/orders/{placed['id']}/cancel")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem-type:order-not-cancellable")


async def test_an_order_that_was_cancelled_before_the_worker_came_stays_cancelled(
    client: AsyncClient, database: Database, drain: Drain
) -> None:
    placed = await place(client)
    await client.post(f"/v1/orders/{placed['id']}/cancel")
    await drain()
    assert (await client.get(f"/v1/orders/{placed['id']}")).json()["status"] == "cancelled"
    assert await database.fetchval("SELECT count(*) FROM chassis_jobs WHERE dead_at IS NOT NULL") == 0
