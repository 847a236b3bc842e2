"""How the event is noted when it has come back."""

from chassis.events import subscribe
from chassis.jobs import Transaction

from tests.faults.exchange.messages import Told

WRITE = "INSERT INTO told (id, key, number) VALUES ($1, $2, $3)"


async def note(told: Told, transaction: Transaction) -> None:
    await transaction.connection.execute(WRITE, told.id, told.key, told.number)


SUBSCRIPTIONS = [subscribe("sample.exchange.told.v1", Told, note)]
