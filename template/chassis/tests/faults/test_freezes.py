"""A worker is frozen beyond its lease: it writes, ends and prolongs nothing that was given to another."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, publish, settled
from tests.faults.effects.messages import WriteLate
from tests.faults.fleet import IMPATIENT, Fleet
from tests.faults.leases import FOREIGN, NOTE_LEASES, PROLONGED, named, repeated
from tests.faults.ledger import Ledger
from tests.faults.scale import pick

ROUNDS = pick(short=1, full=5)
# As many as a worker takes at once.
JOBS = int(IMPATIENT["WORKER_CONCURRENCY"])
LEASE_SECONDS = float(IMPATIENT["WORKER_LEASE"])
# The others are still at it when the frozen one wakes up.
JOB_SECONDS = LEASE_SECONDS + 1
# Some time after it wakes up, it still has a run of the job that the other has.
LONG_SECONDS = 3 * LEASE_SECONDS
OWNERS = "SELECT worker FROM chassis_jobs WHERE worker IS NOT NULL"
NOW = "SELECT clock_timestamp()"
LOST = '"event":"job claim lost"'


async def test_a_frozen_worker_writes_nothing_of_a_job_that_was_given_to_another(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    ledger = Ledger()
    frozen = await fleet.start("worker")
    for _ in range(ROUNDS):
        await publish(outbox, ledger, [WriteLate(seconds=JOB_SECONDS) for _ in range(JOBS)])
        [owner] = set(await until_all_claimed(database))
        frozen.freeze()
        other = await fleet.start("worker")
        await until_taken_from(database, owner, JOBS)
        frozen.thaw()
        await settled(database, ledger)
        await other.terminate()
    lost = frozen.log.read_text().count(LOST)
    record(ledger, await done(database), beside=f"{ROUNDS} freezes, {lost} jobs lost to the other")
    assert lost >= ROUNDS


async def test_a_worker_that_wakes_up_prolongs_no_lease_of_another(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    await database.execute(NOTE_LEASES)
    ledger = Ledger()
    frozen = await fleet.start("worker", variables=named(fleet.database, "frozen"))
    await publish(outbox, ledger, [WriteLate(seconds=LONG_SECONDS) for _ in range(JOBS)])
    [owner] = set(await until_all_claimed(database))
    frozen.freeze()
    few = {"WORKER_CONCURRENCY": str(JOBS // 2)}
    await fleet.start("worker", variables={**named(fleet.database, "other"), **few})
    await until_taken_from(database, owner, JOBS // 2)
    awake = await database.fetchval(NOW)
    frozen.thaw()
    async with asyncio.timeout(20):  # it prolongs those of its leases that the other has not taken
        while not await database.fetchval(PROLONGED, "frozen", awake):
            await asyncio.sleep(0.05)
    await settled(database, ledger)
    record(ledger, await done(database), beside=f"{await repeated(database)} jobs taken by the other")
    assert await database.fetchval(FOREIGN) == 0


async def until_all_claimed(database: Database) -> Sequence[UUID]:
    """Give who has the jobs, as soon as each is begun."""
    async with asyncio.timeout(20):
        while len(owners := await owners_of(database)) < JOBS:
            await asyncio.sleep(0.05)
    return owners


async def until_taken_from(database: Database, owner: UUID, count: int) -> None:
    """Wait until another has so many of the owner's jobs."""
    async with asyncio.timeout(30):
        while len([each for each in await owners_of(database) if each != owner]) < count:
            await asyncio.sleep(0.05)


async def owners_of(database: Database) -> Sequence[UUID]:
    return [row["worker"] for row in await database.fetch(OWNERS)]
