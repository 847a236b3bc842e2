"""The queue's library sees no outage: its queries are answered later, and it listens again."""

import asyncio

import pytest

from chassis.data import Database
from chassis.errors import Unavailable
from chassis.jobs import _driver as driver
from chassis.jobs._driver import WaitingDriver

from tests.jobs.conftest import until

CHANNEL = "ch_test"
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE $1 AND pid <> pg_backend_pid()
"""


async def cut(database: Database, statement: str) -> bool:
    """End the sessions whose last statement is like this one; answer whether there were any."""
    return bool(await database.pool.fetch(CUT, statement))


async def test_what_was_cut_off_is_asked_again(database: Database) -> None:
    waiting = WaitingDriver(database, asyncio.Event())
    asking = asyncio.create_task(waiting.fetch("SELECT pg_sleep(1), 'found' AS found"))
    await until(lambda: cut(database, "SELECT pg_sleep%"))
    assert [row["found"] for row in await asking] == ["found"]


async def test_who_stops_does_not_wait(database: Database) -> None:
    stop = asyncio.Event()
    asking = asyncio.create_task(WaitingDriver(database, stop).fetch("SELECT pg_sleep(2)"))
    stop.set()
    await until(lambda: cut(database, "SELECT pg_sleep%"))
    with pytest.raises(Unavailable):
        await asking


async def test_it_listens_again_on_another_connection(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "WATCH_SECONDS", 0.05)
    heard: asyncio.Queue[str | bytes | bytearray] = asyncio.Queue()

    async def hears() -> bool:
        await database.pool.execute("SELECT pg_notify($1, 'news')", CHANNEL)
        await asyncio.sleep(0.05)
        return not heard.empty()

    async with WaitingDriver(database, asyncio.Event()) as waiting:
        await waiting.add_listener(CHANNEL, heard.put_nowait)
        await until(hears)
        assert await cut(database, "SELECT 1")
        while not heard.empty():
            heard.get_nowait()
        await until(hears)
