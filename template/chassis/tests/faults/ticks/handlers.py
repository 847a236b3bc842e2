"""When it is queued."""

from chassis.jobs import Transaction, cron, handle

from tests.faults.scale import pick
from tests.faults.ticks.messages import Tick

EVERY_SECONDS = pick(short=2, full=5)
WRITE = "INSERT INTO effects (id) VALUES ($1)"


async def tick(task: Tick, transaction: Transaction) -> None:
    await transaction.connection.execute(WRITE, task.id)


HANDLERS = [handle(Tick, tick)]
SCHEDULES = [cron(f"* * * * * */{EVERY_SECONDS}", Tick)]
