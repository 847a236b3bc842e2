"""The integration events of one worker: one worker of a service leads, and publishes and receives for all."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from math import nan

import structlog
from uuid_utils.compat import uuid7

from chassis.data import Database
from chassis.errors import Unavailable
from chassis.events._broker import NATS_ERRORS, Broker, connected, first_of
from chassis.events._ingest import Ingest
from chassis.events._relay import Relay
from chassis.events._settings import NatsSettings
from chassis.jobs import Subscription
from chassis.ops import metrics
from chassis.settings import load

log = structlog.stdlib.get_logger(__name__)

# The worker that leads renews its lead in time, or another takes it.
LEAD_SECONDS = 10.0
# Without a notification, the outbox is looked at after this time.
POLL_SECONDS = 1.0
# Before the next connection, while NATS is unavailable.
AWAY_SECONDS = 1.0

LEAD = """
    INSERT INTO chassis_event_leader AS leader (is_single, worker, until)
    VALUES (true, $1, now() + make_interval(secs => $2))
    ON CONFLICT (is_single) DO UPDATE SET worker = excluded.worker, until = excluded.until
    WHERE leader.worker = excluded.worker OR leader.until < now()
    RETURNING true
"""
RESIGN = "UPDATE chassis_event_leader SET until = now() WHERE worker = $1"


class LeadLost(Exception):
    """Another worker leads."""


class Exchange:
    """Publishes and receives while this worker leads; `news` is set when there may be something to publish."""

    def __init__(self, service: str, database: Database, subscriptions: Sequence[Subscription]) -> None:
        self.news = asyncio.Event()
        self._settings = load(NatsSettings)
        self._service = service
        self._database = database
        self._relay = Relay(database, service)
        self._ingests = [Ingest(database, subscription) for subscription in subscriptions]
        self._worker = uuid7()
        self._is_away = False

    async def step(self) -> None:
        """Lead until something fails, or wait for the lead. Raises Unavailable."""
        if not await self._leads():
            await asyncio.sleep(LEAD_SECONDS / 4)
            return
        await self._relay.observe()
        try:
            async with connected(self._settings, self._service) as broker, asyncio.TaskGroup() as group:
                group.create_task(self._keep_lead(broker))
                group.create_task(self._publish(broker))
                for ingest in self._ingests:
                    group.create_task(ingest.run(broker))
        except* LeadLost:
            log.info("another worker publishes and receives events")
        except* NATS_ERRORS as errors:
            self._note_connection(errors)
            await asyncio.sleep(AWAY_SECONDS)
        except* Unavailable as errors:
            raise Unavailable from errors
        finally:
            metrics.EVENTS_LAG.clear()

    async def resign(self) -> None:
        """Let another worker lead at once."""
        with suppress(Unavailable):
            await self._database.execute(RESIGN, self._worker)

    async def _leads(self) -> bool:
        leads = False
        try:
            leads = bool(await self._database.fetchval(LEAD, self._worker, LEAD_SECONDS))
        finally:
            if not leads:  # only the leader measures the age of the oldest event
                metrics.EVENTS_UNPUBLISHED_AGE.set(nan)
        return leads

    async def _keep_lead(self, broker: Broker) -> None:
        while True:
            await asyncio.sleep(LEAD_SECONDS / 4)
            broker.check()
            await self._relay.observe()
            if not await self._leads():
                raise LeadLost
            self._note_connection(None)

    async def _publish(self, broker: Broker) -> None:
        while True:
            self.news.clear()
            if not await self._relay.publish_batch(broker):
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self.news.wait()

    def _note_connection(self, errors: BaseExceptionGroup | None) -> None:
        if errors and not self._is_away:
            log.warning("NATS unavailable, events wait", reason=str(first := first_of(errors)) or repr(first))
        elif not errors and self._is_away:
            log.info("NATS available again")
        self._is_away = errors is not None


@asynccontextmanager
async def exchange(service: str, database: Database, subscriptions: Sequence[Subscription]) -> AsyncGenerator[Exchange]:
    """Exchange events for the length of the block."""
    opened = Exchange(service, database, subscriptions)
    try:
        yield opened
    finally:
        await opened.resign()
