"""What the metrics say of the database of a process: its connections, the wait for them, and outages."""

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY

from chassis.data import Database, _outage, open_database
from chassis.errors import Unavailable
from chassis.settings import Settings


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def connections() -> tuple[float | None, ...]:
    states = [value("database_connections", state=state) for state in ("used", "idle")]
    return (*states, value("database_connections_max"))


async def test_connections_are_counted_by_their_state(settings: Settings) -> None:
    async with open_database(settings, 3) as database:
        database.watch()
        await database.finish()
        assert connections() == (0, 1, 3)
        async with database.connection(), database.transaction():
            assert connections() == (2, 0, 3)
        assert connections() == (0, 2, 3)


async def test_each_wait_for_a_connection_is_observed_also_one_in_vain(settings: Settings) -> None:
    def waits() -> tuple[float, float]:
        name = "database_connection_wait_seconds"
        count, short = value(f"{name}_count") or 0, value(f"{name}_bucket", le="0.1") or 0
        return count, short

    async with open_database(settings.model_copy(update={"database_pool_timeout": 1}), 1) as database:
        await database.execute("SELECT 1")
        count, short = waits()
        async with database.connection():
            assert waits() == (count + 1, short + 1)
            with pytest.raises(Unavailable):
                await database.execute("SELECT 1")
            assert waits() == (count + 2, short + 1)
            waiting = asyncio.create_task(database.execute("SELECT 1"))
            await asyncio.sleep(0.15)
        await waiting
    assert waits() == (count + 3, short + 1)


async def test_an_outage_is_shown_for_as_long_as_it_is_logged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.watch()
    assert value("database_available") == 1
    with suppress(Unavailable):
        await database.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert value("database_available") == 0
    await database.execute("SELECT 1")
    assert value("database_available") == 0
    monkeypatch.setattr(_outage, "QUIET_SECONDS", 0.0)
    await database.execute("SELECT 1")
    assert value("database_available") == 1
