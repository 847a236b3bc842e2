"""Another service, which reads the events that this one has announced."""

from collections.abc import Sequence

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from chassis.events._settings import NatsSettings, servers_of
from chassis.settings import load


async def read_events(service: str) -> Sequence[Msg]:
    """Read all events of a service from its stream at NATS_URL; none when there is no stream yet."""
    settings = load(NatsSettings)
    client = await nats.connect(servers_of(settings.nats_url))
    try:
        return await _all(client.jetstream(), f"{service}-events", f"{service}.events.>")
    except NotFoundError:
        return []
    finally:
        await client.close()


async def _all(jetstream: JetStreamContext, stream: str, subject: str) -> Sequence[Msg]:
    subscription = await jetstream.pull_subscribe(subject, stream=stream)
    pending = (await subscription.consumer_info()).num_pending
    return await subscription.fetch(pending) if pending else []
