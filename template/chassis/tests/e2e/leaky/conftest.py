"""The processes of the leaky service, and a service that receives what they send of errors."""

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from chassis.dev import project
from chassis.testing import Remote, answers, remote

from tests.e2e.leaky.service import service as leaky

ACCEPTED = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"


@pytest.fixture(autouse=True)
def leaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `start` start the leaky service."""
    monkeypatch.setattr(project, "service", lambda: leaky)


@pytest.fixture
async def tracker() -> AsyncGenerator[Remote]:
    async with remote(answers(ACCEPTED)) as made:
        yield made


@pytest.fixture
async def collector() -> AsyncGenerator[Remote]:
    async with remote(answers(ACCEPTED)) as made:
        yield made


def dsn_of(tracker: Remote, key: str = "public") -> str:
    return tracker.url.replace("://", f"://{key}@") + "/1"


def events_of(tracker: Remote) -> Sequence[dict[str, Any]]:
    """Give the events in the envelopes: a line for the envelope, then one for each item and one for its payload."""
    envelopes = [gzip.decompress(body).splitlines() for body in tracker.bodies]
    return [
        json.loads(payload)
        for _, *items in envelopes
        for header, payload in zip(items[::2], items[1::2], strict=True)
        if json.loads(header)["type"] == "event"
    ]


async def until_sent(tracker: Remote, count: int) -> Sequence[dict[str, Any]]:
    async with asyncio.timeout(30):
        while len(events := events_of(tracker)) < count:
            await asyncio.sleep(0.05)
    return events
