"""One notification for each event of an order."""

from chassis.data import Database
from chassis.testing import Drain
from httpx import AsyncClient

from tests.modules.orders.test_api import place

RECORDED = "SELECT kind, text FROM notifications ORDER BY id"


async def recorded(database: Database) -> list[tuple[str, str]]:
    return [(row["kind"], row["text"]) for row in await database.fetch(RECORDED)]


async def test_a_confirmed_order_is_notified_once(client: AsyncClient, database: Database, drain: Drain) -> None:
    await place(client)
    await drain()
    assert await recorded(database) == [("order_confirmed", "Your order A-1 is confirmed.")]


async def test_a_cancelled_order_is_notified_once(client: AsyncClient, database: Database, drain: Drain) -> None:
    placed = await place(client)
    for _ in range(2):
        await client.post(f"/v1/orders/{placed['id']}/cancel")
    await drain()
    assert await recorded(database) == [("order_cancelled", "Your order A-1 is cancelled.")]
