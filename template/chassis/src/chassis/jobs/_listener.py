"""Listens for notifications of new jobs, on a connection of its own."""

import asyncio
from collections.abc import Sequence

import asyncpg
import structlog

from chassis.data import Connection, Database
from chassis.jobs._loops import AWAY_SECONDS, pause
from chassis.jobs._outbox import CHANNEL, NOTIFY
from chassis.settings import Settings

log = structlog.stdlib.get_logger(__name__)

# Until the connection is asked whether it still stands.
WATCH_SECONDS = 5.0
# For a notification to come back.
ECHO_SECONDS = 2.0


class Listener:
    """Sets all of `news` at each notification; jobs that come while there is no connection are found by polling."""

    def __init__(
        self, database: Database, settings: Settings, stop: asyncio.Event, news: Sequence[asyncio.Event]
    ) -> None:
        self._database = database
        self._url = settings.database_listen_url or settings.database_url
        self._settings = settings
        self._stop = stop
        self._news = news
        self._is_deaf = False

    async def listen(self) -> None:
        """Listen until `stop` is set, and connect again when the connection is lost."""
        while not self._stop.is_set() and self._settings.database_listen_url != "none":
            try:
                connection = await asyncpg.connect(
                    self._url,
                    timeout=self._settings.database_connect_timeout,
                    command_timeout=self._settings.database_statement_timeout,
                )
                try:
                    await self._hear(connection)
                finally:
                    connection.terminate()
            except Exception as error:  # noqa: BLE001  # whatever it is, jobs are found without
                if not self._is_deaf:
                    log.warning("notifications unavailable, jobs are polled", reason=repr(error))
                self._is_deaf = True
                await pause(self._stop, AWAY_SECONDS)

    async def _hear(self, connection: Connection) -> None:
        heard = asyncio.Event()

        def notify(*_: object) -> None:
            for event in (heard, *self._news):
                event.set()

        await connection.add_listener(CHANNEL, notify)
        await self._database.execute(NOTIFY)
        await pause(heard, ECHO_SECONDS)
        if not heard.is_set():
            log.warning("notifications do not arrive, jobs are polled: set DATABASE_LISTEN_URL to a direct connection")
        self._is_deaf = False
        while not self._stop.is_set():
            await pause(self._stop, WATCH_SECONDS)
            await connection.execute("SELECT 1")
