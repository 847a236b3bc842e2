"""Two instances behind a balancer are replaced one after the other under load, and no request fails."""

import asyncio
from itertools import count

from httpx import AsyncClient, Limits

from chassis.data import Database

from tests.faults.balancer import LOOK_SECONDS, Balancer, balancer
from tests.faults.conftest import Record
from tests.faults.fleet import Fleet
from tests.faults.ledger import Ledger
from tests.faults.scale import pick

RESTARTS = pick(short=1, full=10)
CALLERS = 4
PAUSE_SECONDS = pick(short=0.1, full=0.01)
TAKEN = "SELECT text FROM notes"
# Longer than the balancer takes to see that an instance is not ready any more, on a busy machine too.
DELAY = {"SHUTDOWN_DELAY": str(pick(short=10, full=30) * LOOK_SECONDS)}


async def test_a_rolling_restart_fails_no_request(fleet: Fleet, database: Database, record: Record) -> None:
    credential = await asyncio.to_thread(fleet.credential)
    ledger = Ledger()
    async with balancer() as between:
        for _ in range(2):
            await between.add(await fleet.start("api", variables=DELAY))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for caller in range(CALLERS):
                group.create_task(take_notes(between.url, credential, str(caller), ledger, stop))
            for _ in range(RESTARTS):
                await replace_oldest(between, fleet)
            stop.set()
    record(ledger, [row["text"] for row in await database.fetch(TAKEN)], beside=f"{RESTARTS} restarts")


async def replace_oldest(between: Balancer, fleet: Fleet) -> None:
    status, _log = await between.instances[0].terminate()
    assert status == 0
    del between.instances[0]
    await between.add(await fleet.start("api", variables=DELAY))


async def take_notes(url: str, credential: dict[str, str], caller: str, ledger: Ledger, stop: asyncio.Event) -> None:
    """Take one note after the other, each over a connection of its own; none is sent a second time."""
    alone = Limits(max_keepalive_connections=0)
    async with AsyncClient(base_url=url, headers=credential, timeout=30, limits=alone) as client:
        for number in count():
            if stop.is_set():
                return
            text = f"{caller}-{number}"
            answer = await client.post("/v1/notes", json={"text": text}, headers={"Idempotency-Key": text})
            assert answer.status_code == 201, answer.text
            ledger.acknowledged.add(text)
            await asyncio.sleep(PAUSE_SECONDS)
