"""A payment that another service has received is recorded once."""

from uuid import uuid4

from chassis.data import Database
from chassis.testing import Drain, Receive

TYPE = "billing.payments.received.v1"
RECORDED = "SELECT order_id, amount, currency FROM payments"
DEAD = "SELECT count(*) FROM chassis_jobs WHERE dead_at IS NOT NULL"


async def test_a_received_payment_is_recorded_once(database: Database, drain: Drain, receive: Receive) -> None:
    order_id = uuid4()
    payment = {"payment_id": str(uuid4()), "order_id": str(order_id), "amount": 2500, "currency": "EUR"}
    for _ in range(2):
        await receive(TYPE, payment | {"method": "card"}, event_id="1")
        await drain()
    assert [tuple(row) for row in await database.fetch(RECORDED)] == [(order_id, 2500, "EUR")]


async def test_a_payment_that_cannot_be_read_is_a_dead_letter(
    database: Database, drain: Drain, receive: Receive
) -> None:
    await receive(TYPE, {"payment_id": "none"})
    await drain()
    assert await database.fetchval(DEAD) == 1
