"""Measures the process itself: what runs in it, and how late its event loop is."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from time import perf_counter

from chassis.ops import _metrics as metrics

TIMER_SECONDS = 0.25


@asynccontextmanager
async def measuring(build: Mapping[str, str]) -> AsyncGenerator[None]:
    """Measure while the block runs."""
    metrics.BUILD.labels(**build).set(1)
    task = asyncio.create_task(_measure_lag())
    try:
        yield
    finally:
        task.cancel()


async def _measure_lag() -> None:
    while True:
        due = perf_counter() + TIMER_SECONDS
        await asyncio.sleep(TIMER_SECONDS)
        metrics.EVENT_LOOP_LAG.observe(max(0, perf_counter() - due))
