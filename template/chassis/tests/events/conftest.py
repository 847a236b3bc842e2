"""A NATS server which a test may stop, its operator, and workers that exchange events over it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import override

import nats
import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from chassis.data import Database
from chassis.dev.nats import NatsServer
from chassis.events import IntegrationEvent, announce
from chassis.events import nats as transport
from chassis.jobs import Outbox, Subscription, Worker
from chassis.settings import Settings

SERVICE = "sample"


class SampleTaken(IntegrationEvent):
    kind = "samples.taken.v1"
    text: str = "x"
    of: str | None = None

    @property
    @override
    def ordering_key(self) -> str | None:
        return self.of


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[NatsServer]:
    """A server of NATS for the length of the test; NATS_URL is its address."""
    server = NatsServer(tmp_path)
    server.start()
    monkeypatch.setenv("NATS_URL", server.url)
    yield server
    server.kill()


@pytest.fixture
async def operator(broker: NatsServer) -> AsyncGenerator[JetStreamContext]:
    """The JetStream of the server, over a connection that comes back by itself."""
    client = await nats.connect(broker.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignore)
    yield client.jetstream()
    await client.close()


async def ignore(_error: Exception) -> None:
    """Leave it to the test to notice."""


type Publish = Callable[..., Awaitable[None]]


@pytest.fixture
def publish(database: Database) -> Publish:
    """Announce events in one transaction."""

    async def publish_all(*events: IntegrationEvent) -> None:
        async with Outbox(database, []).transaction() as transaction:
            for event in events:
                await announce(transaction, event)

    return publish_all


type Running = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def running(database: Database, settings: Settings) -> Running:
    """Run a worker with subscriptions for the length of the block."""

    @asynccontextmanager
    async def run(*subscriptions: Subscription) -> AsyncGenerator[None]:
        stop = asyncio.Event()
        handlers = [subscription.handler for subscription in subscriptions]
        async with transport.open(SERVICE, database, subscriptions) as beside:
            working = asyncio.create_task(Worker(database, handlers, settings, stop, beside=beside).run())
            try:
                yield
            finally:
                stop.set()
                await working

    return run


async def read_events(operator: JetStreamContext, service: str = SERVICE) -> Sequence[Msg]:
    """Read all events of a service from its stream; none when there is no stream yet."""
    try:
        all_of_them = ConsumerConfig(ack_policy=AckPolicy.NONE)
        subject = f"events.{service}.>"
        subscription = await operator.pull_subscribe(subject, stream=f"{service}-events", config=all_of_them)
    except NotFoundError:
        return []
    pending = (await subscription.consumer_info()).num_pending
    messages = await subscription.fetch(pending) if pending else []
    await subscription.unsubscribe()
    return messages


async def unpublished(database: Database) -> int:
    count: int = await database.fetchval("SELECT count(*) FROM chassis_outbox")
    return count
