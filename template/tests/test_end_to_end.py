"""The real processes, started by the command line: an order placed over HTTP is confirmed and notified."""

import asyncio

from chassis.data import Database
from chassis.testing import Start
from httpx import AsyncClient

from tests.modules.orders.test_api import order


async def test_a_placed_order_is_confirmed_and_notified(start: Start, database: Database) -> None:
    backend = await start("orders:read orders:write")
    async with AsyncClient(base_url=backend.url, headers=backend.headers) as client, asyncio.timeout(20):
        location = (await client.post("/v1/orders", json=order(), headers={"Idempotency-Key": "1"})).headers["location"]
        while (await client.get(location)).json()["status"] == "placed":
            await asyncio.sleep(0.05)
        while await database.fetchval("SELECT count(*) FROM notifications") == 0:
            await asyncio.sleep(0.05)
    assert (await backend.api.terminate())[0] == 0
    assert (await backend.worker.terminate())[0] == 0
