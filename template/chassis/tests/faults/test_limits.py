"""Workers are killed and frozen with the one job of a handler that may run: never have two of them a lease."""

import asyncio

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import Record, done, going_on, publish, settled
from tests.faults.effects.messages import WriteAlone
from tests.faults.fleet import Fleet, Started
from tests.faults.leases import FOREIGN, HOLDER, NOTE_LEASES, SIMULTANEOUS, named, repeated
from tests.faults.ledger import Ledger
from tests.faults.scale import pick

ROUNDS = pick(short=1, full=10)
NAMES = ("first", "second", "third")
# After each transaction all workers come for its jobs at the same time.
PUBLISH_EVERY = 0.1
# Long enough to be seen and interrupted.
LONG_SECONDS = 1.0


class Contenders:
    """Workers that want the same job; who has it is killed or frozen."""

    def __init__(self, fleet: Fleet, database: Database, outbox: Outbox) -> None:
        self.ledger = Ledger()
        self._fleet = fleet
        self._database = database
        self._outbox = outbox
        self._workers: dict[str, Started] = {}

    async def begin(self) -> None:
        await self._database.execute(NOTE_LEASES)
        for name in NAMES:
            await self._launch(name)

    async def publish(self) -> None:
        await publish(self._outbox, self.ledger, [WriteAlone(), WriteAlone()])

    async def kill(self) -> None:
        """Kill a worker that has the job, and start another in its place."""
        job, name = await self._held()
        await self._workers[name].kill()
        await self._launch(name)
        await self._until_done(job)

    async def freeze(self) -> None:
        """Freeze a worker that has the job until another has done it."""
        job, name = await self._held()
        self._workers[name].freeze()
        await self._until_done(job)
        self._workers[name].thaw()

    async def _launch(self, name: str) -> None:
        self._workers[name] = await self._fleet.launch("worker", variables=named(self._fleet.database, name))

    async def _held(self) -> tuple[WriteAlone, str]:
        """Queue a long job and give it with the name of its worker, as soon as it has one."""
        await publish(self._outbox, self.ledger, [job := WriteAlone(seconds=LONG_SECONDS)])
        async with asyncio.timeout(30):
            while not (name := await self._database.fetchval(HOLDER, job.id)):
                await asyncio.sleep(0.02)
        return job, name

    async def _until_done(self, job: WriteAlone) -> None:
        async with asyncio.timeout(30):
            while job.id not in await done(self._database):
                await asyncio.sleep(0.05)


async def test_a_limit_of_one_never_has_two_leases(
    fleet: Fleet, database: Database, outbox: Outbox, record: Record
) -> None:
    contenders = Contenders(fleet, database, outbox)
    await contenders.begin()
    async with going_on((PUBLISH_EVERY, contenders.publish)):
        for _ in range(ROUNDS):
            await contenders.kill()
            await contenders.freeze()
    await settled(database, contenders.ledger, 60)
    again = await repeated(database)
    record(contenders.ledger, await done(database), beside=f"{again} jobs given out again")
    assert again
    assert await database.fetchval(SIMULTANEOUS) == 0
    assert await database.fetchval(FOREIGN) == 0
