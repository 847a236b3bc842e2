"""A worker that is told to end finishes what it can, gives back the rest, and costs no job a run."""

import asyncio
import json
from time import perf_counter

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, publish, settled
from tests.faults.effects.messages import WriteEffect
from tests.faults.fleet import Fleet
from tests.faults.ledger import Ledger
from tests.faults.scale import pick

ROUNDS = pick(short=1, full=20)
GRACE_SECONDS = 1
# To roll back what does not end in time, to let go of the database, to exit.
END_SECONDS = 5
VARIABLES = {"DATABASE_IDLE_TIMEOUT": "10", "SHUTDOWN_TIMEOUT": str(GRACE_SECONDS)}
# Half of a worker's places are taken by jobs that cannot end in time.
LONG_SECONDS = pick(short=2, full=4)


async def test_no_end_of_a_worker_costs_a_run(fleet: Fleet, database: Database, outbox: Outbox, record: Record) -> None:
    ledger = Ledger()
    await publish(outbox, ledger, [WriteEffect(seconds=LONG_SECONDS) for _ in range(4)])
    await publish(outbox, ledger, [WriteEffect(seconds=0.2) for _ in range(40 * ROUNDS)])
    slowest = 0.0
    for _ in range(ROUNDS):
        worker = await fleet.start("worker", variables=VARIABLES)
        await asyncio.sleep(0.5)
        began = perf_counter()
        status, _log = await worker.terminate()
        slowest = max(slowest, perf_counter() - began)
        assert status == 0
    assert len(await done(database)) < len(ledger.acknowledged)
    await fleet.start("worker", variables=VARIABLES)
    await settled(database, ledger, 60)
    record(ledger, await done(database), beside=f"ended within {slowest:.1f} s, {GRACE_SECONDS} s to finish")
    assert attempts(fleet) == {1}
    assert slowest < GRACE_SECONDS + END_SECONDS


def attempts(fleet: Fleet) -> set[int]:
    """Gather the numbers of the runs that came to their end."""
    lines = [json.loads(line) for worker in fleet.started for line in worker.log.read_text().splitlines()]
    return {line["attempt"] for line in lines if line["event"] == "job done"}
