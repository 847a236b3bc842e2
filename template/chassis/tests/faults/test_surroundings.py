"""The disk of the log is full, the clock is wrong: what does not need them goes on."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from httpx import AsyncClient

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, publish, settled
from tests.faults.effects.messages import WriteEffect
from tests.faults.fleet import Fleet
from tests.faults.ledger import Ledger
from tests.faults.test_drain import attempts

FULL = Path("/dev/full")
DUE = "SELECT min(at) >= $2 FROM effects WHERE id = $1"
NOW = "SELECT now()"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
async def test_it_serves_and_works_though_no_line_of_its_log_can_be_written(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    credential = await asyncio.to_thread(fleet.credential)
    api, _worker = await fleet.start("api", log=FULL), await fleet.start("worker", log=FULL)
    async with AsyncClient(base_url=api.url, headers=credential, timeout=10) as client:
        for number in range(5):
            answer = await client.post("/v1/notes", json={"text": "x"}, headers={"Idempotency-Key": str(number)})
            assert answer.status_code == 201
        assert (await client.get("/v1/notes")).status_code == 200
    ledger = Ledger()
    await publish(outbox, ledger, [WriteEffect() for _ in range(20)])
    await settled(database, ledger)
    record(ledger, await done(database))


async def test_workers_whose_clocks_are_wrong_keep_leases_and_times(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    for hours in (1, -1):
        variables = {"DATABASE_IDLE_TIMEOUT": "10", "FAULTS_SHIFT": str(hours * 3600)}
        await fleet.start("worker", variables=variables)
    ledger = Ledger()
    longer_than_a_lease = [WriteEffect(seconds=4) for _ in range(6)]
    await publish(outbox, ledger, [*longer_than_a_lease, *(WriteEffect() for _ in range(50))])
    delay, delayed = timedelta(seconds=2), WriteEffect()
    due = await database.fetchval(NOW) + delay
    async with outbox.transaction() as transaction:
        await transaction.enqueue(delayed, delay=delay)
    ledger.acknowledged.add(delayed.id)
    await settled(database, ledger)
    record(ledger, await done(database))
    assert await database.fetchval(DUE, delayed.id, due)
    assert attempts(fleet) == {1}
