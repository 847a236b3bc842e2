"""The checks of readiness, and the type of those that `doctor` runs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

# Returns what it has found. Raises an error whose text says what is wrong and how to correct it.
type Check = Callable[[], Awaitable[str]]
# Returns whether one part of a process can work.
type Ready = Callable[[], Awaitable[bool]]

# Half of what an orchestrator waits by default.
READY_SECONDS = 0.5


class Readiness:
    """Runs checks concurrently. A check that times out has failed, and is not started again while it still runs."""

    def __init__(self, stop: asyncio.Event, checks: Mapping[str, Ready]) -> None:
        self._stop = stop
        self._checks = checks
        self._running: dict[str, asyncio.Future[bool]] = {}

    async def failing(self) -> list[str]:
        """Name the checks that fail; a process that drains runs none."""
        if self._stop.is_set():
            return ["draining"]
        running = {name: self._run(name) for name in self._checks}
        await asyncio.wait(running.values(), timeout=READY_SECONDS)
        return [name for name, each in running.items() if not (each.done() and each.result())]

    def _run(self, name: str) -> asyncio.Future[bool]:
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = asyncio.ensure_future(self._checks[name]())
        return running
