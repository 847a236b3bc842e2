"""Workers are killed and frozen, the database goes down, and comes back: each job is done once."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from chassis.data import Database
from chassis.errors import Unavailable
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, going_on, publish, settled
from tests.faults.effects.messages import WriteEffect
from tests.faults.fleet import Fleet
from tests.faults.leases import NOTE_LEASES, named, repeated
from tests.faults.ledger import Ledger
from tests.faults.scale import pick
from tests.faults.server import Postgres

JOBS = pick(short=200, full=10_000)
SECONDS = pick(short=3.0, full=60.0)
KILL_EVERY = 2.0
RESTART_EVERY = pick(short=1.0, full=20.0)
# What a caller is promised.
RECOVERY_SECONDS = 15
# Some are at work whenever a worker is killed.
LONG_SECONDS = 0.5

# Jobs that a worker still holds: not claimed by another worker, and not done.
HELD = """
    SELECT message_id, clock_timestamp() AS now
    FROM chassis_jobs JOIN leases ON leases.job = message_id AND leases.claim = chassis_jobs.claim AND is_new
    WHERE worker IS NOT NULL AND holder = $1
"""
DOOMED = "doomed"
NEXT_RUN = "SELECT min(at) - $2 FROM leases WHERE job = $1 AND is_new AND at > $2"


class Chaos:
    """Two workers, of which one is killed and one is frozen; it notes what the killed one was at."""

    def __init__(self, fleet: Fleet, database: Database, server: Postgres) -> None:
        self._fleet = fleet
        self._database = database
        self._server = server
        self._interrupted: list[tuple[UUID, datetime]] = []
        self.kills = 0

    async def begin(self) -> None:
        await self._database.execute(NOTE_LEASES)
        self._doomed = await self._fleet.start("worker", variables=named(self._fleet.database, DOOMED))
        self._frozen = await self._fleet.start("worker")

    async def kill(self) -> None:
        """Kill a worker, and start another in its place, which is at work when its turn comes."""
        await self._doomed.kill()
        self.kills += 1
        try:
            for row in await self._database.fetch(HELD, DOOMED):
                self._interrupted.append((row["message_id"], row["now"]))
        except Unavailable:  # it is down as well
            pass
        self._doomed = await self._fleet.start("worker", variables=named(self._fleet.database, DOOMED))

    async def freeze(self) -> None:
        """Freeze a worker beyond its lease."""
        self._frozen.freeze()
        await asyncio.sleep(2.5)
        self._frozen.thaw()

    async def restart(self) -> None:
        """Take down and bring back the database."""
        await asyncio.to_thread(self._server.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(self._server.start)

    async def end(self) -> None:
        self._frozen.thaw()
        await self._fleet.start("worker")

    async def recovery(self) -> float:
        """Give the most seconds from a kill until a job that was interrupted ran again."""
        waits = [await self._database.fetchval(NEXT_RUN, job, at) for job, at in self._interrupted]
        return max(filter(None, waits), default=timedelta(0)).total_seconds()


@pytest.fixture
async def chaos(fleet: Fleet, database: Database, server: Postgres) -> Chaos:
    chaos = Chaos(fleet, database, server)
    await chaos.begin()
    return chaos


async def test_no_job_is_lost_or_done_twice(chaos: Chaos, database: Database, outbox: Outbox, record: Record) -> None:
    ledger = Ledger()
    async with going_on((KILL_EVERY, chaos.kill), (RESTART_EVERY, chaos.restart), (1.0, chaos.freeze)):
        for _ in range(0, JOBS, 50):
            long = [WriteEffect(seconds=LONG_SECONDS) for _ in range(4)]
            await publish(outbox, ledger, [*long, *(WriteEffect() for _ in range(46))])
            await asyncio.sleep(SECONDS * 50 / JOBS)
    await chaos.end()
    await settled(database, ledger, 60)
    recovery = await chaos.recovery()
    record(ledger, await done(database), recovery, f"{chaos.kills} kills")
    assert await repeated(database)
    assert recovery < RECOVERY_SECONDS
