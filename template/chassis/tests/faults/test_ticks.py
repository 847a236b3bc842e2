"""Workers with one schedule, their clocks an hour apart, are killed in turn: each tick queues its task once."""

import asyncio
from itertools import cycle

from chassis.data import Database

from tests.faults.conftest import Record, done, going_on, settled
from tests.faults.fleet import MODULES, Fleet
from tests.faults.ledger import Ledger
from tests.faults.scale import pick
from tests.faults.ticks.handlers import EVERY_SECONDS

SECONDS = pick(short=6, full=60)
WORKERS = pick(short=2, full=3)
HOURS_WRONG = (1, -1, 0)
KILL_EVERY = pick(short=4, full=7)
# When each job was queued, which its handler cannot know; the time is the database's. It takes so long that others look
# meanwhile, and that a kill may come in between.
NOTE_TICKS = """
    CREATE TABLE ticks (at timestamptz NOT NULL DEFAULT now(), id uuid NOT NULL);
    CREATE FUNCTION note_tick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_sleep(0.6);
        INSERT INTO ticks (id) VALUES (NEW.message_id);
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_tick AFTER INSERT ON chassis_jobs
        FOR EACH ROW WHEN (NEW.handler = 'ticks.tick') EXECUTE FUNCTION note_tick();
"""
TICKS = "SELECT id, floor(extract(epoch FROM at) / $1)::bigint AS number FROM ticks ORDER BY at"


async def test_each_tick_queues_its_task_once(fleet: Fleet, database: Database, record: Record) -> None:
    await database.execute(NOTE_TICKS)
    workers = [await fleet.start("worker", variables=ticking(place)) for place in range(WORKERS)]
    places, kills = cycle(range(WORKERS)), list[int]()

    async def kill_next() -> None:
        place = next(places)
        await workers[place].kill()
        kills.append(place)
        workers[place] = await fleet.launch("worker", variables=ticking(place))

    async with going_on((KILL_EVERY, kill_next)):
        await asyncio.sleep(SECONDS)
    rows = await database.fetch(TICKS, EVERY_SECONDS)
    numbers = [row["number"] for row in rows]
    ledger = Ledger({row["id"] for row in rows})
    await settled(database, ledger)
    await fleet.end()
    ledger.unknown |= {row["id"] for row in await database.fetch(TICKS, EVERY_SECONDS)}  # those since then
    record(ledger, await done(database), beside=f"{len(numbers)} ticks in {SECONDS} s, one due every {EVERY_SECONDS} s")
    assert len(set(numbers)) == len(numbers)
    assert len(numbers) >= SECONDS // EVERY_SECONDS - 1 - len(kills)  # a tick that was killed may have become the next


def ticking(place: int) -> dict[str, str]:
    return {"FAULTS_MODULES": MODULES[1], "FAULTS_SHIFT": str(HOURS_WRONG[place] * 3600)}
