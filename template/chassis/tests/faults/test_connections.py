"""A worker loses its database, or the connection to it, under load: it recovers, and each job is done once."""

import asyncio
from http import HTTPStatus
from time import perf_counter

from httpx import AsyncClient

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, publish, settled
from tests.faults.effects.messages import WriteEffect, WriteWhenFixed
from tests.faults.fleet import Fleet, Started
from tests.faults.ledger import Ledger
from tests.faults.outages import (
    ALL,
    Outage,
    Outages,
    outages,
    way,
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
GONE_SECONDS = pick(short=5.0, full=30.0)
AWAY = '"event":"database unavailable"'
BACK = '"event":"database available again"'


async def test_a_worker_recovers_by_itself(
    fleet: Fleet, server: Postgres, database: Database, outbox: Outbox, record: Record
) -> None:
    async with outages(fleet.database, server) as between:
        worker = await fleet.start("worker", variables={"DATABASE_URL": between.url})
        for outage in OUTAGES:
            await database.execute(FORGET)
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
    await database.execute(FIX)
    ledger.acknowledged |= long.acknowledged
    await settled(database, ledger)
    record(ledger, await done(database), recovery, "one runs long")


async def test_a_worker_whose_way_to_the_database_is_gone_takes_jobs_when_it_is_back(
    fleet: Fleet, server: Postgres, database: Database, outbox: Outbox, record: Record
) -> None:
    """As when the name of the database cannot be resolved: the error is none of a connection."""
    ledger = Ledger()
    async with way(fleet.database, server) as found:
        worker = await fleet.start("worker", variables={"DATABASE_URL": found.url})
        await publish(outbox, ledger, [WriteEffect(seconds=0.5) for _ in range(3 * BATCH)])
        await until_some_done(database)
        found.vanish()
        await until_logged(worker, AWAY)
        assert await readiness_during(GONE_SECONDS, worker) == {HTTPStatus.SERVICE_UNAVAILABLE}
        await publish(outbox, ledger, [WriteEffect() for _ in range(BATCH)])
        found.come_back()
        began = perf_counter()
        await settled(database, ledger)
        recovery = perf_counter() - began
        await worker.ready()
        await until_logged(worker, BACK)
        await worker.terminate()
    record(ledger, await done(database), recovery, "gone")
    assert recovery < RECOVERY_SECONDS
    assert [worker.log.read_text().count(line) for line in (AWAY, BACK)] == [1, 1]


async def until_some_done(database: Database) -> None:
    async with asyncio.timeout(30):
        while not await done(database):
            await asyncio.sleep(0.05)


async def until_logged(worker: Started, line: str) -> None:
    async with asyncio.timeout(30):
        while line not in worker.log.read_text():
            await asyncio.sleep(0.05)


async def readiness_during(seconds: float, worker: Started) -> set[int]:
    """Ask again and again whether it is ready, and give all answers."""
    answers, until = set[int](), perf_counter() + seconds
    async with AsyncClient(timeout=30) as client:
        while perf_counter() < until:
            answers.add((await client.get(f"{worker.operations}/readyz")).status_code)
            await asyncio.sleep(0.1)
    return answers


async def publish_during(between: Outages, outage: Outage, outbox: Outbox, ledger: Ledger) -> None:
    """Queue jobs for the length of an outage."""
    await asyncio.sleep(0.2)
    await between.begin(outage)
    until = perf_counter() + SECONDS
    while perf_counter() < until:
        await publish(outbox, ledger, [WriteEffect() for _ in range(BATCH)])
        await asyncio.sleep(0.2)
    await between.end()
