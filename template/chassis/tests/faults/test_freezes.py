"""A worker is frozen beyond its lease: its jobs are given to another, and it writes and ends none of them."""

import asyncio
from uuid import UUID

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, publish, settled
from tests.faults.effects.messages import WriteLate
from tests.faults.fleet import IMPATIENT, Fleet
from tests.faults.ledger import Ledger
from tests.faults.scale import pick

ROUNDS = pick(short=1, full=5)
# As many as a worker takes at once.
JOBS = int(IMPATIENT["WORKER_CONCURRENCY"])
LEASE_SECONDS = float(IMPATIENT["WORKER_LEASE"])
# The other is still at it when the frozen one wakes up.
JOB_SECONDS = LEASE_SECONDS + 1
OWNERS = "SELECT queue_manager_id AS owner FROM pgqueuer WHERE status = 'picked'"
LOST = '"event": "job claim lost"'


async def test_a_frozen_worker_writes_nothing_of_a_job_that_was_given_to_another(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    ledger = Ledger()
    frozen = await fleet.start("worker")
    for _ in range(ROUNDS):
        await publish(outbox, ledger, [WriteLate(seconds=JOB_SECONDS) for _ in range(JOBS)])
        owners = await owners_beside(database, set())
        frozen.freeze()
        other = await fleet.start("worker")
        await owners_beside(database, owners)
        frozen.thaw()
        await settled(database, ledger)
        await other.terminate()
    lost = frozen.log.read_text().count(LOST)
    record(ledger, await done(database), beside=f"{ROUNDS} freezes, {lost} jobs lost to the other")
    assert lost


async def owners_beside(database: Database, others: set[UUID]) -> set[UUID]:
    """Give who has the jobs, as soon as all are begun by workers that are none of these."""
    async with asyncio.timeout(20):
        while True:
            owners: list[UUID] = [row["owner"] for row in await database.pool.fetch(OWNERS)]
            if len(owners) == JOBS and others.isdisjoint(owners):
                return set(owners)
            await asyncio.sleep(0.05)
