"""Ends the claims of a worker; while the database is unavailable they wait, and their jobs are not run again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from chassis.errors import Unavailable
from chassis.jobs._loops import AWAY_SECONDS
from chassis.jobs._queue import Claimed, ClaimLost, Failure, Queue

log = structlog.stdlib.get_logger(__name__)


class Ends:
    """How the attempts of one worker end; when `interrupted` is set, nothing is waited for any more."""

    def __init__(self, queue: Queue, interrupted: asyncio.Event) -> None:
        self.interrupted = interrupted
        self._queue = queue
        self._completed: list[tuple[Claimed, asyncio.Future[bool]]] = []
        self._completing: asyncio.Task[None] | None = None

    async def complete(self, claimed: Claimed) -> None:
        """Delete a job that ran without a transaction. Raises ClaimLost."""
        complete = self._queue.complete if claimed.ordering_key is not None else self._complete_with_others
        await self._persist(claimed, lambda: complete(claimed))

    async def release(self, claimed: Claimed, delay: timedelta, failure: Failure | None = None) -> None:
        """Let the job be claimed again after `delay`; without a failure, the attempt is not counted."""
        await self._persist(claimed, lambda: self._queue.release(claimed, delay, failure))

    async def dead_letter(self, claimed: Claimed, failure: Failure) -> None:
        await self._persist(claimed, lambda: self._queue.dead_letter(claimed, failure))

    async def _persist(self, claimed: Claimed, end: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await end()
            except Unavailable:
                if self.interrupted.is_set():
                    log.warning("job keeps its lease, database unavailable", job=claimed.handler)
                    return
            else:
                return
            await asyncio.sleep(AWAY_SECONDS)

    async def _complete_with_others(self, claimed: Claimed) -> None:
        """Delete the job in one statement with those that end at the same time."""
        is_held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._completed.append((claimed, is_held))
        if self._completing is None or self._completing.done():
            self._completing = asyncio.create_task(self._complete_all())
        if not await is_held:
            raise ClaimLost

    async def _complete_all(self) -> None:
        while self._completed:
            completed, self._completed = self._completed, []
            try:
                ended = await self._queue.complete_all([claimed for claimed, _ in completed])
            except Exception as error:  # noqa: BLE001  # each of the jobs deals with it
                for _, is_held in completed:
                    if not is_held.done():
                        is_held.set_exception(error)
            else:
                for claimed, is_held in completed:
                    if not is_held.done():
                        is_held.set_result(claimed.id in ended)
