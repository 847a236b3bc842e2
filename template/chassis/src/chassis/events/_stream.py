"""The JetStream stream of integration events."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from chassis.events._settings import NatsSettings, servers_of

log = structlog.stdlib.get_logger(__name__)

# What is published again within this time, after an answer was lost, is taken once.
DUPLICATES_SECONDS = 600
# How long others have to read an integration event, in a stream that a worker makes.
EVENTS_SECONDS = 7 * 24 * 3600
# Before another try, while NATS is unavailable.
PAUSE_SECONDS = 1.0

# What every event fits into, headers included: the largest that a server takes by default.
MIN_PAYLOAD = 2**20


class NotUsable(NatsError):
    """The configuration of the server does not fit; events wait until it is corrected."""


# What a server that is stopped, restarting, frozen, without the stream or not usable raises.
NATS_ERRORS = (NatsError, OSError, TimeoutError)


class Stream:
    """The stream over one connection, which comes back by itself."""

    def __init__(self, client: Client, settings: NatsSettings, service: str) -> None:
        self._client = client
        self._replicas = settings.nats_replicas
        self._jetstream = client.jetstream(timeout=settings.nats_timeout)
        self._announced: set[str] = set()
        self.name = settings.nats_stream or service

    async def announce(self, kind: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """Return when a stream has the integration event; one that takes them all is made where there is none."""
        subject = f"{self.name}.events.{kind}"
        if not self._client.is_connected:
            raise ConnectionError("not connected")
        try:
            if kind not in self._announced:
                await self._ensure(subject)
                self._announced.add(kind)
            await self._jetstream.publish(subject, payload, headers=dict(headers))
        except NATS_ERRORS:
            self._announced.discard(kind)
            raise

    async def _ensure(self, subject: str) -> None:
        """Look for a stream with the subject: without one, but with somebody who listens, there is just no answer."""
        try:
            await self._jetstream.find_stream_name_by_subject(subject)
        except NotFoundError:
            await self._make()

    async def _make(self) -> None:
        await self._jetstream.add_stream(
            StreamConfig(
                name=f"{self.name}-events",
                subjects=[f"{self.name}.events.>"],
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.OLD,
                max_age=EVENTS_SECONDS,
                storage=StorageType.FILE,
                num_replicas=self._replicas,
                duplicate_window=DUPLICATES_SECONDS,
            )
        )


@asynccontextmanager
async def open_stream(settings: NatsSettings, service: str) -> AsyncGenerator[Stream]:
    """Connect. Raises what is in NATS_ERRORS when that fails; a connection lost later comes back by itself."""
    client = Client()
    try:
        async with asyncio.timeout(settings.nats_timeout):  # it would retry without end
            await client.connect(
                servers_of(settings.nats_url),
                name=service,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                error_cb=_note,
            )
        if client.max_payload < MIN_PAYLOAD:
            raise NotUsable(f"its max_payload is {client.max_payload}, and must be {MIN_PAYLOAD} or more")
        stream = Stream(client, settings, service)
        log.info("connected to NATS", stream=stream.name)
        yield stream
    finally:
        if client.is_connected:
            with suppress(*NATS_ERRORS):
                await client.flush(max(1, round(settings.nats_timeout)))  # the last acknowledgements
        await client.close()


def reason_of(error: Exception) -> str:
    """Describe an error for a log, where some have no message."""
    return str(error) or type(error).__name__


async def _note(error: Exception) -> None:
    log.warning("NATS connection error", error=reason_of(error))
