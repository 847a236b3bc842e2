"""Opens the transactions of a process, and tells the workers when one has committed jobs."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress

from chassis.data import Caller, Database
from chassis.jobs._handlers import Handler
from chassis.jobs._messages import Payload
from chassis.jobs._transactions import Transaction

NOBODY = Caller()
CHANNEL = "chassis_jobs"
# Inside the transaction it would take a lock of the whole server at each commit.
NOTIFY = f"NOTIFY {CHANNEL}"
# Commits within this time share a notification.
NOTIFY_SECONDS = 0.01


class Outbox:
    """Opens the transactions of one process and knows which handlers its messages have."""

    def __init__(self, database: Database, handlers: Iterable[Handler]) -> None:
        self._database = database
        self._jobs: dict[type[Payload], list[str]] = {}
        for handler in handlers:
            self._jobs.setdefault(handler.message, []).append(handler.name)
        self._notifying: asyncio.Task[None] | None = None
        self._has_news = False

    @asynccontextmanager
    async def transaction(self, caller: Caller = NOBODY) -> AsyncGenerator[Transaction]:
        """Open a transaction; it commits when the block ends and rolls back, jobs included, when it raises."""
        async with self._database.transaction() as connection:
            transaction = Transaction(connection, caller, self._jobs)
            yield transaction
        if transaction.has_news:
            self._has_news = True
            if self._notifying is None or self._notifying.done():
                self._notifying = self._database.start(self._notify())

    async def _notify(self) -> None:
        while self._has_news:
            self._has_news = False
            with suppress(Exception):  # a worker that hears nothing looks by itself
                await self._database.execute(NOTIFY)
            await asyncio.sleep(NOTIFY_SECONDS)
