"""In development a log line is one line that a person reads at a glance."""

import logging
import os

import pytest
import structlog
from httpx import AsyncClient

from chassis.ops import request_id

from tests.ops.conftest import ConsoleLines, Lines

COLUMNS = 110 - len("12:00:00 ")


async def test_a_request_says_who_asked_for_what_and_how_it_went(client: AsyncClient, shown: ConsoleLines) -> None:
    await client.get("/v1/notes", params={"cursor": "secret"})
    await client.get("/no where")
    matched, unmatched = shown()
    assert matched.startswith("api    GET /v1/notes 400 ")
    assert matched.endswith(" ms alice")
    assert unmatched.startswith("api    GET /no%20where 404 ")
    assert unmatched.endswith(" ms anonymous")


@pytest.mark.parametrize("caller", ["alice", "a" * 255])
async def test_a_long_path_and_a_long_caller_are_cut(client: AsyncClient, shown: ConsoleLines, caller: str) -> None:
    client.headers["authorization"] = f"Bearer {caller}"
    await client.get("/v1/notes/0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b")
    await client.get(f"/{'deep/' * 100}")
    whole, cut = shown()
    assert "/v1/notes/0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b 404 " in whole
    assert len(whole) <= COLUMNS
    assert len(cut) == COLUMNS
    assert "… 404 " in cut


async def test_a_path_is_shown_in_development_only(client: AsyncClient, logged: Lines) -> None:
    await client.get("/hooks/secret")
    structlog.stdlib.get_logger("ours").info("saved", path="/tmp/file")  # noqa: S108  # not opened
    request, saved = logged()
    assert "secret" not in str(request)
    assert saved["path"] == "/tmp/file"  # noqa: S108


def test_other_lines_have_their_event_and_its_values(shown: ConsoleLines) -> None:
    token = request_id.set("r1")
    structlog.stdlib.get_logger("ours").info("job done", job="notes.count", attempt=1)
    structlog.stdlib.get_logger("ours").info("sweep done", idempotency_keys=2, api_key="hunter2")
    logging.getLogger("theirs").warning("careful, %s", "now")
    request_id.reset(token)
    assert shown() == [
        "api    job done job=notes.count attempt=1",
        "api    sweep done idempotency_keys=2 api_key=***",
        "api    WARNING careful, now",
    ]


def test_a_value_neither_breaks_the_line_nor_moves_the_terminal(shown: ConsoleLines) -> None:
    structlog.stdlib.get_logger("ours").error("call failed", error="first\nsecond \x1b[2J")
    assert shown() == [r"api    ERROR call failed error=first\nsecond \x1b[2J"]


def test_a_traceback_is_below_its_line(shown: ConsoleLines) -> None:
    try:
        os.environ["LOST"]
    except KeyError:
        structlog.stdlib.get_logger("ours").exception("failed")
    first, *below = shown()
    assert first == "api    ERROR failed"
    assert below[0] == "Traceback (most recent call last):"
    assert below[-1] == "KeyError: 'LOST'"
