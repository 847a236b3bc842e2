"""Workers that publish to a NATS server which a test may stop, and the server's operator."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import override

import nats
import pytest
from nats.js import JetStreamContext

from chassis.data import Database
from chassis.events import nats as transport
from chassis.jobs import Publisher
from chassis.settings import Settings

from tests.events.server import NatsServer
from tests.jobs.conftest import Workers, shorten_waits

SERVICE = "sample"


class PublishingWorkers(Workers):
    """Workers of the service `sample`, with the JetStream of its operator."""

    def __init__(self, database: Database, settings: Settings, operator: JetStreamContext) -> None:
        super().__init__(database, settings)
        self.operator = operator

    @override
    def make_publisher(self) -> Publisher:
        return transport.publisher(SERVICE)


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[NatsServer]:
    """A server of NATS for the length of the test; NATS_URL is its address."""
    server = NatsServer(tmp_path)
    server.start()
    monkeypatch.setenv("NATS_URL", server.url)
    yield server
    server.kill()


@pytest.fixture
async def workers(
    broker: NatsServer, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[PublishingWorkers]:
    shorten_waits(monkeypatch)
    operator = await nats.connect(broker.url)
    few = settings.model_copy(update={"worker_concurrency": 4})
    yield PublishingWorkers(database, few, operator.jetstream())
    await operator.close()
