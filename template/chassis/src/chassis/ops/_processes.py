"""How a process runs and stops: its event loop, its signal handlers and its grace period."""

import asyncio
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Coroutine
from types import FrameType
from typing import Any, Protocol


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on the fastest event loop of the platform."""
    if sys.platform == "win32":
        asyncio.run(main)
    else:
        import uvloop  # noqa: PLC0415  # not available on Windows

        asyncio.run(main, loop_factory=uvloop.new_event_loop)


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop


class Commands(Protocol):
    """The subparsers of argparse, whose class is private."""

    def add_parser(self, name: str, *, help: str) -> ArgumentParser: ...  # noqa: A002  # the name is argparse's
