"""One worker of a service publishes and receives for all; another takes over when it dies or stops."""

import asyncio

import pytest

from chassis.data import Database
from chassis.dev.nats import NatsServer
from chassis.events import _exchange
from chassis.events._exchange import Exchange
from chassis.events._settings import NatsSettings
from chassis.settings import SettingsError, load

from tests.events.conftest import SERVICE, Publish, Running, SampleTaken
from tests.events.test_publishing import is_published
from tests.jobs.conftest import until

LEADER = "SELECT worker FROM chassis_event_leader WHERE until > now()"


@pytest.mark.usefixtures("broker")
async def test_one_worker_leads_and_another_takes_over_when_it_stops(
    database: Database, publish: Publish, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exchange, "LEAD_SECONDS", 2.0)
    async with running():
        async with running():
            await publish(SampleTaken())
            await until(lambda: is_published(database))
            first = await database.fetchval(LEADER)
        await database.execute("UPDATE chassis_event_leader SET worker = gen_random_uuid()")
        assert first
        await publish(SampleTaken())
        await until(lambda: is_published(database))


async def test_the_lead_is_held_by_one(database: Database, broker: NatsServer) -> None:
    del broker
    exchanges = [Exchange(SERVICE, database, []) for _ in range(5)]
    assert sorted(await asyncio.gather(*(each._leads() for each in exchanges))) == [False] * 4 + [True]  # noqa: SLF001  # what is tested
    await asyncio.gather(*(each.resign() for each in exchanges))
    assert await database.fetchval(LEADER) is None


@pytest.mark.parametrize(
    "url", ["http://broker:4222", "nats://", "nats://one:4222,two:4222", "nats://one:0", "nats://a:b/c@one", ""]
)
def test_an_address_of_another_kind_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("NATS_URL", url)
    with pytest.raises(SettingsError, match=r"NATS_URL is (wrong|empty), it accepts: nats://"):
        load(NatsSettings)
