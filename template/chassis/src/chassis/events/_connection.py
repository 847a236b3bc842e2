"""The connection of one worker to NATS, over which its handlers announce."""

import asyncio
from collections.abc import Collection

import structlog

from chassis.events._integration_events import Announcer
from chassis.events._settings import NatsSettings
from chassis.events._stream import NATS_ERRORS, PAUSE_SECONDS, open_stream, reason_of
from chassis.jobs import Transport
from chassis.settings import load

log = structlog.stdlib.get_logger(__name__)


class NatsPublisher:
    """Publishes for the service of this name; without NATS_URL it publishes nothing."""

    def __init__(self, service: str) -> None:
        self._settings = load(NatsSettings)
        self._service = service
        self._is_used = bool(self._settings.nats_url.get_secret_value())
        self._announcer = Announcer(service, is_used=self._is_used)

    def resting(self) -> Collection[str]:
        """Name the handlers that announce, for a while after NATS was unavailable."""
        return self._announcer.resting()

    async def run_until(self, idle: asyncio.Event) -> None:
        """Let handlers announce until `idle` is set; reconnect while NATS is unavailable."""
        while self._is_used and not idle.is_set():
            try:
                async with open_stream(self._settings, self._service) as stream:
                    with self._announcer.over(stream):
                        await idle.wait()
            except NATS_ERRORS as error:
                log.warning("NATS unavailable", error=reason_of(error))
                await asyncio.sleep(PAUSE_SECONDS)


nats = Transport(settings=(NatsSettings,), publisher=NatsPublisher)
