"""Events leave and come back while workers, NATS and the database are killed and frozen in turn.

None is lost or doubled, and those of one key come in the order in which they were announced.
"""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chassis.data import CONNECTION_ERRORS, Database
from chassis.dev.nats import NatsServer
from chassis.errors import Unavailable
from chassis.events import announce
from chassis.jobs import Outbox

from tests.faults.conftest import Record
from tests.faults.exchange.messages import ToldV1
from tests.faults.fleet import Fleet, Started
from tests.faults.ledger import Ledger
from tests.faults.scale import pick
from tests.faults.server import Postgres

EVENTS = pick(short=300, full=10_000)
ROUNDS = pick(short=1, full=4)
KEYS = 20
# Of events that are announced in one transaction.
BATCH = 10

TABLE = """
    CREATE TABLE told (
        place bigint GENERATED ALWAYS AS IDENTITY, id uuid NOT NULL, key text NOT NULL, number int NOT NULL
    )
"""
TOLD = "SELECT id FROM told"
OUT_OF_ORDER = """
    SELECT count(*) FROM (
        SELECT number < lag(number) OVER (PARTITION BY key ORDER BY place) AS is_late FROM told
    ) AS told WHERE is_late
"""
LEFT = """
    SELECT (SELECT count(*) FROM chassis_outbox) + (SELECT count(*) FROM chassis_jobs WHERE dead_at IS NULL)
"""


@pytest.fixture
def nats(tmp_path: Path) -> Generator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    if server.process:
        server.process.send_signal(signal.SIGCONT)
    server.kill()


class Chaos:
    """Two workers, NATS and the database, each of which is killed and frozen."""

    def __init__(self, fleet: Fleet, nats: NatsServer, server: Postgres) -> None:
        self._fleet = fleet
        self._nats = nats
        self._server = server
        self._workers: list[Started] = []
        self.faults = 0

    async def begin(self) -> None:
        for _ in range(2):
            self._workers.append(await self._start())

    async def _start(self) -> Started:
        variables = {"FAULTS_MODULES": "tests.faults.exchange", "NATS_URL": self._nats.url, "NATS_TIMEOUT": "0.5"}
        return await self._fleet.start("worker", variables=variables)

    async def befall(self) -> None:
        """Let each of them fail, one after the other."""
        for fault in (
            self._kill_worker,
            self._kill_nats,
            self._freeze_worker,
            self._freeze_nats,
            self._restart_database,
            self._freeze_database,
        ):
            await fault()
            self.faults += 1
            await asyncio.sleep(1)

    async def _kill_worker(self) -> None:
        """Kill the older one, which may be the one that leads."""
        await self._workers.pop(0).kill()
        self._workers.append(await self._start())

    async def _freeze_worker(self) -> None:
        """Freeze it for longer than the leases of its jobs."""
        self._workers[0].freeze()
        await asyncio.sleep(3)
        self._workers[0].thaw()

    async def _kill_nats(self) -> None:
        self._nats.kill()
        await asyncio.sleep(1)
        await asyncio.to_thread(self._nats.start)

    async def _freeze_nats(self) -> None:
        assert self._nats.process
        self._nats.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2)
        self._nats.process.send_signal(signal.SIGCONT)

    async def _restart_database(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(self._server.start)

    async def _freeze_database(self) -> None:
        await asyncio.to_thread(self._server.freeze)
        await asyncio.sleep(2)
        await asyncio.to_thread(self._server.thaw)


async def tell(outbox: Outbox, ledger: Ledger, numbers: Counter[str]) -> None:
    """Announce some events in one transaction, and note whether it was committed."""
    keys = random.sample([*numbers], BATCH)
    events = [ToldV1(id=uuid4(), key=key, number=numbers[key]) for key in keys]
    ids = {event.id for event in events}
    numbers.update(keys)
    try:
        async with asyncio.timeout(10), outbox.transaction() as transaction:
            for event in events:
                await announce(transaction, event)
    except Exception:  # noqa: BLE001  # whatever it is, the commit may have arrived or not
        ledger.unknown |= ids
        await asyncio.sleep(0.2)
    else:
        ledger.acknowledged |= ids


async def told(database: Database) -> list[UUID]:
    return [row["id"] for row in await database.fetch(TOLD)]


async def wait_until_told(database: Database, ledger: Ledger, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await _is_told(database, ledger):
                await asyncio.sleep(0.2)
    except TimeoutError:
        ledger.stuck = len(ledger.acknowledged - set(await told(database)))


async def _is_told(database: Database, ledger: Ledger) -> bool:
    try:
        return not await database.fetchval(LEFT) and ledger.acknowledged <= set(await told(database))
    except (*CONNECTION_ERRORS, Unavailable):
        return False


async def test_no_event_is_lost_doubled_or_out_of_order(  # noqa: PLR0913, PLR0917  # fixtures
    fleet: Fleet, database: Database, outbox: Outbox, server: Postgres, nats: NatsServer, record: Record
) -> None:
    await database.execute(TABLE)
    chaos = Chaos(fleet, nats, server)
    await chaos.begin()
    ledger, numbers = Ledger(), Counter(map(str, range(KEYS)))

    async def tell_all() -> None:
        while len(ledger.acknowledged) < EVENTS or not befalling.done():
            await tell(outbox, ledger, numbers)
            await asyncio.sleep(0.01 if len(ledger.acknowledged) < EVENTS else 0.2)

    async def befall_all() -> None:
        for _ in range(ROUNDS):
            await chaos.befall()

    befalling = asyncio.create_task(befall_all())
    await tell_all()
    await befalling
    await wait_until_told(database, ledger, 90)
    out_of_order = await database.fetchval(OUT_OF_ORDER)
    record(ledger, await told(database), beside=f"{chaos.faults} faults, {out_of_order} out of order")
    assert out_of_order == 0
