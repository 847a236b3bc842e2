"""A job that always fails becomes a dead letter, can be retried when it is fixed, and delays no other job."""

import asyncio
import os
import sys
from time import perf_counter

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, publish, settled
from tests.faults.effects.messages import KillWorker, Poison, WriteEffect
from tests.faults.fleet import Fleet
from tests.faults.ledger import Ledger
from tests.faults.scale import pick

JOBS = pick(short=200, full=10_000)
FIX = "INSERT INTO fixes DEFAULT VALUES"
RETRY_ALL = ("-m", "tests.sample", "jobs", "retry", "--all")
FAILED = "SELECT count(*) FROM pgqueuer WHERE status = 'failed'"


async def test_jobs_that_fail_become_dead_letters_and_are_retried(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    await fleet.start("worker")
    ledger = Ledger()
    without = await seconds_to_do(outbox, database, ledger, [WriteEffect() for _ in range(JOBS)])
    poison = [Poison() for _ in range(JOBS // 100)]
    await publish(outbox, failing := Ledger(), poison)
    beside = await seconds_to_do(outbox, database, ledger, [WriteEffect() for _ in range(JOBS)])
    await dead_lettered(database, len(poison))
    await database.pool.execute(FIX)
    await retry_all(fleet.database)
    ledger.acknowledged |= failing.acknowledged
    await settled(database, ledger)
    record(ledger, await done(database), beside=f"the rest at {without / beside:.2f} of its rate without")


async def test_a_job_that_kills_its_worker_becomes_a_dead_letter_and_is_retried(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    ledger, killer = Ledger(), KillWorker()
    await publish(outbox, ledger, [killer])
    killed = await fleet.start("worker")
    async with asyncio.timeout(10):
        await killed.process.wait()
    await publish(outbox, ledger, [WriteEffect() for _ in range(20)])
    await fleet.start("worker")
    await dead_lettered(database, 1)
    assert set(await done(database)) <= ledger.acknowledged - {killer.id}
    await database.pool.execute(FIX)
    await retry_all(fleet.database)
    await settled(database, ledger)
    record(ledger, await done(database))


async def seconds_to_do(outbox: Outbox, database: Database, ledger: Ledger, effects: list[WriteEffect]) -> float:
    began = perf_counter()
    for start in range(0, len(effects), 100):
        await publish(outbox, ledger, effects[start : start + 100])
    async with asyncio.timeout(120):
        while len(await done(database)) < len(ledger.acknowledged):
            await asyncio.sleep(0.1)
    return perf_counter() - began


async def dead_lettered(database: Database, count: int) -> None:
    """Wait until so many jobs are dead letters."""
    async with asyncio.timeout(30):
        while await database.pool.fetchval(FAILED) < count:
            await asyncio.sleep(0.1)


async def retry_all(address: str) -> None:
    """Run the command that a person would."""
    environment = os.environ | {"DATABASE_URL": address}
    process = await asyncio.create_subprocess_exec(sys.executable, *RETRY_ALL, env=environment)
    assert await process.wait() == 0
