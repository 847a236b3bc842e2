"""Orders that are confirmed or cancelled are announced to other services, once."""

from chassis.testing import Announced, Drain
from httpx import AsyncClient

from tests.modules.orders.test_api import place


async def test_a_confirmed_order_is_announced_once(client: AsyncClient, drain: Drain, announced: Announced) -> None:
    placed = await place(client)
    await drain()
    assert await announced() == [("orders.confirmed.v1", {"order_id": placed["id"], "reference": "A-1"})]


async def test_a_cancelled_order_is_announced_once(client: AsyncClient, drain: Drain, announced: Announced) -> None:
    placed = await place(client)
    for _ in range(2):
        await client.post(f"/v1/orders/{placed['id']}/cancel")
    await drain()
    assert await announced() == [("orders.cancelled.v1", {"order_id": placed["id"], "reference": "A-1"})]
