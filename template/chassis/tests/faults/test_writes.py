"""The API is killed and the database goes down under load: what was acknowledged is there, and there once."""

import asyncio

from chassis.data import Database

from tests.faults.conftest import Record, going_on
from tests.faults.fleet import Fleet
from tests.faults.ledger import Ledger
from tests.faults.load import take_notes
from tests.faults.scale import pick
from tests.faults.server import Postgres

NOTES = [f"note-{number}" for number in range(pick(short=200, full=4_000))]
KILL_EVERY = pick(short=1.0, full=4.0)
RESTARTS = pick(short=1, full=5)
# A kill comes between effect and commit, or commit and answer, as often as not.
SLOW_COMMITS = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wait();
"""
TAKEN = "SELECT text FROM notes"


async def test_acknowledged_writes_are_there_once(
    fleet: Fleet, server: Postgres, database: Database, record: Record
) -> None:
    await database.execute(SLOW_COMMITS)
    credential = await asyncio.to_thread(fleet.credential)
    api = await fleet.start("api")
    ledger = Ledger(unknown=set(NOTES))
    restarts = 0

    async def kill() -> None:
        """Kill the API, and start it again at its address."""
        await fleet.started[-1].kill()
        again = await fleet.launch("api", variables={"API_PORT": api.url.rpartition(":")[2]})
        await again.ready()

    async def restart() -> None:
        nonlocal restarts
        if len(ledger.acknowledged) * (RESTARTS + 1) > len(NOTES) * (restarts + 1):
            restarts += 1
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.start)

    async with going_on((KILL_EVERY, kill), (0.05, restart)):
        await take_notes(api.url, credential, NOTES, ledger)
    kills = len(fleet.started) - 1
    taken = [row["text"] for row in await database.fetch(TAKEN)]
    record(ledger, taken, beside=f"{kills} kills, {restarts} stops of the database")
    assert (kills > 0, restarts) == (True, RESTARTS)
