"""A job that always fails becomes a dead letter, can be retried when it is fixed, and costs others nothing."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter

from chassis.data import Database
from chassis.jobs import Message, Outbox

from tests.faults.conftest import Record, done, going_on, publish, settled
from tests.faults.effects.messages import KillWorker, Poison, WriteEffect, WriteLate
from tests.faults.fleet import IMPATIENT, Fleet
from tests.faults.leases import NOTE_LEASES, repeated
from tests.faults.ledger import Ledger
from tests.faults.scale import pick

JOBS = pick(short=200, full=10_000)
FIX = "INSERT INTO fixes DEFAULT VALUES"
RETRY_ALL = ("-m", "tests.sample", "jobs", "retry", "--all")
FAILED = "SELECT count(*) FROM chassis_jobs WHERE dead_at IS NOT NULL"
ERRORS = "SELECT message_id, errors -> -1 ->> 'type' AS type FROM chassis_jobs WHERE dead_at IS NOT NULL"
ATTEMPTS_OF_OTHERS = "SELECT max(attempt) FROM leases WHERE job <> $1"
IS_CLAIMED = "SELECT worker IS NOT NULL FROM chassis_jobs WHERE message_id = $1"
HAS_KILLED_TWO = "SELECT crashes = 2 FROM chassis_jobs WHERE message_id = $1"
IS_PUT_OFF = "SELECT crashes = 3 AND worker IS NULL AND run_at > now() FROM chassis_jobs WHERE message_id = $1"
IS_DONE = "SELECT true FROM effects WHERE id = $1"
MAKE_DUE = "UPDATE chassis_jobs SET run_at = now() WHERE worker IS NULL"
NEIGHBOURS = int(IMPATIENT["WORKER_CONCURRENCY"]) - 1
# A job that may kill its worker at one attempt does so three times beside others, who are not to blame, and once alone.
MAX_DEATHS = 4


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
    await database.execute(FIX)
    await retry_all(fleet.database)
    ledger.acknowledged |= failing.acknowledged
    await settled(database, ledger)
    record(ledger, await done(database), beside=f"the rest at {without / beside:.2f} of its rate without")


async def test_a_job_that_kills_its_worker_becomes_a_dead_letter_and_is_retried(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    ledger, killer = Ledger(), KillWorker()
    await publish(outbox, ledger, [killer])
    killed = await fleet.launch("worker")
    async with asyncio.timeout(30):
        await killed.process.wait()
    await publish(outbox, ledger, [WriteEffect() for _ in range(20)])
    await fleet.start("worker")
    await dead_lettered(database, 1)
    assert set(await done(database)) <= ledger.acknowledged - {killer.id}
    await database.execute(FIX)
    await retry_all(fleet.database)
    await settled(database, ledger)
    record(ledger, await done(database))


async def test_a_job_that_kills_its_worker_costs_its_neighbours_no_attempt(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    await database.execute(NOTE_LEASES)
    ledger, killer = Ledger(), KillWorker()
    first, others = WriteLate(seconds=4), [WriteEffect(seconds=0.5) for _ in range(NEIGHBOURS - 1)]

    async def publish_more() -> None:
        await publish(outbox, ledger, [WriteEffect(seconds=0.5), WriteEffect(seconds=0.5)])

    async with restarting_worker(fleet):
        await publish(outbox, ledger, [first])
        await until(database, IS_CLAIMED, first)  # it runs alone, until there are others
        async with outbox.transaction() as transaction:  # so that the worker takes them at once
            await transaction.publish(killer, *others)
        ledger.acknowledged |= {other.id for other in others}
        async with going_on((0.2, publish_more)):
            await dead_lettered(database, 1)
        await settled(database, ledger)
    deaths, again = len(fleet.started) - 1, await repeated(database)
    record(ledger, await done(database), beside=f"{deaths} deaths, {again} jobs given out again")
    assert [tuple(row) for row in await database.fetch(ERRORS)] == [(killer.id, "AttemptsExhausted")]
    assert deaths <= MAX_DEATHS
    assert again > NEIGHBOURS
    assert await database.fetchval(ATTEMPTS_OF_OTHERS, killer.id) == 1


async def test_a_job_that_killed_three_workers_waits_for_a_long_one_without_holding_up_others(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    ledger, killer = Ledger(), KillWorker()
    first, long = WriteLate(seconds=4), WriteLate(seconds=15)

    async def publish_more() -> None:
        await publish(outbox, ledger, [WriteEffect(seconds=0.5)])

    async with restarting_worker(fleet):
        await publish(outbox, ledger, [first])
        await until(database, IS_CLAIMED, first)
        await publish(outbox, ledger, [killer])
        async with going_on((0.2, publish_more)):
            await until(database, HAS_KILLED_TWO, killer)
            await publish(outbox, ledger, [long])
            await until(database, IS_PUT_OFF, killer)
            await publish(outbox, ledger, [late := WriteEffect()])
            await until(database, IS_DONE, late)
        assert long.id not in await done(database)
        await until(database, IS_DONE, long)
        await database.execute(FIX)
        await database.execute(MAKE_DUE)
        await settled(database, ledger)
    record(ledger, await done(database), beside=f"{len(fleet.started) - 1} deaths")
    assert len(fleet.started) - 1 == 3


@asynccontextmanager
async def restarting_worker(fleet: Fleet) -> AsyncGenerator[None]:
    """Have a worker for the length of the block, and start another whenever it has died."""

    async def restart() -> None:
        while True:
            worker = await fleet.launch("worker")
            await worker.process.wait()

    restarting = asyncio.create_task(restart())
    try:
        yield
    finally:
        restarting.cancel()


async def seconds_to_do(outbox: Outbox, database: Database, ledger: Ledger, effects: list[WriteEffect]) -> float:
    began = perf_counter()
    for start in range(0, len(effects), 100):
        await publish(outbox, ledger, effects[start : start + 100])
    async with asyncio.timeout(120):
        while len(await done(database)) < len(ledger.acknowledged):
            await asyncio.sleep(0.1)
    return perf_counter() - began


async def until(database: Database, condition: str, message: Message) -> None:
    async with asyncio.timeout(30):
        while not await database.fetchval(condition, message.id):
            await asyncio.sleep(0.05)


async def dead_lettered(database: Database, count: int) -> None:
    """Wait until so many jobs are dead letters."""
    async with asyncio.timeout(60):
        while await database.fetchval(FAILED) < count:
            await asyncio.sleep(0.1)


async def retry_all(address: str) -> None:
    """Run the command that a person would."""
    environment = os.environ | {"DATABASE_URL": address}
    process = await asyncio.create_subprocess_exec(sys.executable, *RETRY_ALL, env=environment)
    assert await process.wait() == 0
