"""The loops of a worker go on after every error."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

import structlog

from chassis.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)

# Until the database is asked again.
AWAY_SECONDS = 0.5


async def pause(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event is set, but at most this many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


class Loops:
    """The steps of one worker that are repeated, each beside the others."""

    def __init__(self) -> None:
        # Those whose last step failed, and those that have ended before they were told to.
        self.failing: set[str] = set()
        self.ended: set[str] = set()
        # When each started its last step.
        self._turned: dict[str, float] = {}

    def turn(self, names: Iterable[str], seconds: float) -> bool:
        """Return whether each of these has started a step in the last `seconds`, and its step before succeeded."""
        since = monotonic() - seconds
        return all(self._turned.get(name, since) > since and name not in self.failing for name in names)

    async def repeat(self, name: str, step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Repeat a step until `stop` is set; the step itself waits until there is something to do."""
        try:
            await self._repeat(name, step, stop)
        finally:
            if not stop.is_set():
                self.ended.add(name)

    async def _repeat(self, name: str, step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._turned[name] = monotonic()
            try:
                await step()
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) and task.cancelling():
                    raise
                # Of something that the step awaited; a group of tasks would take the end of this one for its own wish.
                log.exception("worker loop failed", loop=name)
            except Unavailable:  # logged by the database
                pass
            except Exception:
                log.exception("worker loop failed", loop=name)
            else:
                self.failing.discard(name)
                continue
            self.failing.add(name)
            await pause(stop, AWAY_SECONDS)
