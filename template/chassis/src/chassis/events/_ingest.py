"""Reads the streams of subscriptions from the place where they are, and queues what is new.

The place is kept in the transaction that queues the jobs, and not by acknowledgements to NATS. So no event is missed,
comes twice or overtakes another when a worker, NATS or the database is stopped.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from chassis.data import Database
from chassis.events._broker import NATS_ERRORS, Broker
from chassis.events._kinds import subject_of
from chassis.events._receipts import Received, position_of, receive, reset
from chassis.jobs import Subscription
from chassis.ops import metrics

log = structlog.stdlib.get_logger(__name__)

BATCH = 500
# How long to wait for an event before checking whether the position was moved, for example by a replay.
IDLE_SECONDS = 2.0
# After this time without a request, the server deletes the consumer.
INACTIVE_SECONDS = 60.0


class GapFound(Exception):
    """Events were lost on the way; they are read again from the last known place."""


class Ingest:
    """Receives the events of one subscription."""

    def __init__(self, database: Database, subscription: Subscription) -> None:
        self._database = database
        self._subscription = subscription
        self._name = subscription.handler.name
        self._subject = subject_of(subscription.event_type)
        self._has_warned = False

    async def run(self, broker: Broker) -> None:
        """Receive until the connection is lost. Raises what is in NATS_ERRORS, or Unavailable."""
        while True:
            position = await position_of(self._database, self._subscription)
            try:
                stream = await broker.jetstream.find_stream_name_by_subject(self._subject)
            except NotFoundError:
                if not self._has_warned:
                    log.warning("no stream has the events of a subscription", job=self._name, subject=self._subject)
                self._has_warned = True
                await asyncio.sleep(IDLE_SECONDS)
                continue
            self._has_warned = False
            last = (await broker.jetstream.stream_info(stream)).state.last_seq
            if position > last:
                log.warning("stream begins anew, its events are received from the first", job=self._name, stream=stream)
                await reset(self._database, self._subscription, position)
                continue
            consumer = await self._consumer(broker, stream, position)
            try:
                await self._read(broker, consumer, position)
            except GapFound:
                log.warning("events are read again after a gap", job=self._name, stream=stream)
            finally:
                await _forget(consumer)

    async def _consumer(self, broker: Broker, stream: str, position: int) -> JetStreamContext.PullSubscription:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=position + 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=INACTIVE_SECONDS,
            mem_storage=True,
            num_replicas=1,
        )
        return await broker.jetstream.pull_subscribe(self._subject, stream=stream, config=config)

    async def _read(self, broker: Broker, consumer: JetStreamContext.PullSubscription, position: int) -> None:
        """Receive from a consumer until something else moves the position. Raises GapFound."""
        delivered = 0
        while True:
            messages = await self._fetch(broker, consumer)
            if not messages:
                broker.check()
                info = await consumer.consumer_info()  # raises when the server has forgotten it
                metrics.EVENTS_LAG.labels(self._name).set(info.num_pending or 0)
                if await position_of(self._database, self._subscription) != position:
                    return
                continue
            places = [message.metadata for message in messages]
            if [place.sequence.consumer for place in places] != [*range(delivered + 1, delivered + 1 + len(places))]:
                raise GapFound
            delivered += len(places)
            events = [
                Received.of(message.headers or {}, message.data, place.sequence.stream, place.timestamp)
                for message, place in zip(messages, places, strict=True)
            ]
            fresh = await receive(self._database, self._subscription, events, position)
            if fresh is None:
                return
            position = events[-1].position
            metrics.EVENTS_RECEIVED.labels(self._name).inc(fresh)
            metrics.EVENTS_REPEATED.labels(self._name).inc(len(events) - fresh)
            metrics.EVENTS_LAG.labels(self._name).set(places[-1].num_pending)

    async def _fetch(self, broker: Broker, consumer: JetStreamContext.PullSubscription) -> Sequence[Msg]:
        """Wait for an event, and take those that wait behind it."""
        try:
            messages = await consumer.fetch(1, timeout=IDLE_SECONDS)
            if pending := min(messages[0].metadata.num_pending, BATCH - 1):
                messages += await consumer.fetch(pending, timeout=broker.timeout)
        except NatsTimeoutError:
            return []
        return messages


async def _forget(consumer: JetStreamContext.PullSubscription) -> None:
    with suppress(*NATS_ERRORS):
        await consumer.unsubscribe()
