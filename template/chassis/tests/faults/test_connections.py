"""A worker loses its database, or the connection to it, under load: it recovers, and each job is done once."""

import asyncio
from time import perf_counter

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, publish, settled
from tests.faults.effects.messages import WriteEffect, WriteWhenFixed
from tests.faults.fleet import Fleet
from tests.faults.ledger import Ledger
from tests.faults.outages import (
    ALL,
    Outage,
    Outages,
    outages,
)
from tests.faults.scale import pick
from tests.faults.server import Postgres
from tests.faults.test_poison import FIX

OUTAGES: tuple[Outage, ...] = pick(short=("resets",), full=ALL)
SECONDS = pick(short=1.5, full=10.0)
BATCH = 10
FORGET = "TRUNCATE effects"
# The limit for a job that was interrupted.
RECOVERY_SECONDS = 15


async def test_a_worker_recovers_by_itself(
    fleet: Fleet, server: Postgres, database: Database, outbox: Outbox, record: Record
) -> None:
    async with outages(fleet.database, server) as between:
        worker = await fleet.start("worker", variables={"DATABASE_URL": between.url})
        for outage in OUTAGES:
            await database.pool.execute(FORGET)
            ledger = Ledger()
            await publish(outbox, ledger, [WriteEffect(seconds=0.2) for _ in range(3 * BATCH)])
            await publish_during(between, outage, outbox, ledger)
            began = perf_counter()
            await settled(database, ledger)
            recovery = perf_counter() - began
            record(ledger, await done(database), recovery, outage)
            assert recovery < RECOVERY_SECONDS
        assert worker.process.returncode is None


async def test_a_long_job_delays_no_other_after_an_outage(
    fleet: Fleet, server: Postgres, database: Database, outbox: Outbox, record: Record
) -> None:
    long, ledger = Ledger(), Ledger()
    await publish(outbox, long, [WriteWhenFixed()])
    await fleet.start("worker", variables={"WORKER_LEASE": "10"})
    async with outages(fleet.database, server) as between:
        await publish_during(between, "stopped", outbox, ledger)
    began = perf_counter()
    await publish(outbox, ledger, [WriteEffect() for _ in range(BATCH)])
    async with asyncio.timeout(RECOVERY_SECONDS):
        while not ledger.acknowledged <= set(await done(database)):
            await asyncio.sleep(0.1)
    recovery = perf_counter() - began
    await database.pool.execute(FIX)
    ledger.acknowledged |= long.acknowledged
    await settled(database, ledger)
    record(ledger, await done(database), recovery, "one runs long")


async def publish_during(between: Outages, outage: Outage, outbox: Outbox, ledger: Ledger) -> None:
    """Queue jobs for the length of an outage."""
    await asyncio.sleep(0.2)
    await between.begin(outage)
    until = perf_counter() + SECONDS
    while perf_counter() < until:
        await publish(outbox, ledger, [WriteEffect() for _ in range(BATCH)])
        await asyncio.sleep(0.2)
    await between.end()
