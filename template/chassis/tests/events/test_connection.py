"""A connection to NATS is made within its timeout, to a server that takes every event, or not at all."""

import signal

import pytest
from nats.aio.client import Client

from chassis.events import _stream as stream
from chassis.events._settings import NatsSettings
from chassis.events._stream import NotUsable, open_stream
from chassis.settings import SettingsError, load

from tests.events.conftest import SERVICE
from tests.events.server import NatsServer


@pytest.mark.usefixtures("broker")
async def test_a_server_that_takes_only_small_messages_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "max_payload", 65_536)
    with pytest.raises(NotUsable, match="its max_payload is 65536, and must be 1048576 or more"):
        async with open_stream(load(NatsSettings), SERVICE):
            pass


async def test_a_connection_that_hangs_is_closed(broker: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Client] = []

    def make() -> Client:
        made.append(Client())
        return made[-1]

    monkeypatch.setattr(stream, "Client", make)
    assert broker.process
    broker.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with open_stream(load(NatsSettings), SERVICE):
            pass
    broker.process.send_signal(signal.SIGCONT)
    assert [client.is_closed for client in made] == [True]


@pytest.mark.parametrize("url", ["http://broker:4222", "nats://", "nats://one:4222,two:4222"])
def test_an_address_of_another_kind_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("NATS_URL", url)
    with pytest.raises(SettingsError, match="NATS_URL is wrong, it accepts: nats://"):
        load(NatsSettings)
