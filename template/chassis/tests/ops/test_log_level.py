"""The log level of a process is read and changed while it runs."""

import logging
from collections.abc import AsyncGenerator

import pytest
import structlog
from httpx import ASGITransport, AsyncClient

from chassis.ops import create_operations

from tests.ops.conftest import Lines


@pytest.fixture
async def operations() -> AsyncGenerator[AsyncClient]:
    async def failing() -> list[str]:
        return []

    transport = ASGITransport(create_operations(failing, {}))
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_the_level_is_changed_for_this_code_and_for_libraries(operations: AsyncClient, logged: Lines) -> None:
    ours, theirs = structlog.stdlib.get_logger("ours"), logging.getLogger("theirs")
    for level in ("debug", "error"):
        answer = await operations.put("/log-level", json={"level": level})
        assert (answer.status_code, answer.json()) == (200, {"level": level})
        assert (await operations.get("/log-level")).json() == {"level": level}
        ours.debug("ours")
        theirs.debug("theirs")
        theirs.warning("theirs")
    lines = [(line["event"], line["level"]) for line in logged()]
    changed = ("log level changed", "info")
    assert lines == [changed, ("ours", "debug"), ("theirs", "debug"), ("theirs", "warning"), changed]
    assert [(line["before"], line["after"]) for line in logged() if "before" in line] == [
        ("info", "debug"),
        ("debug", "error"),
    ]


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    "body", [b"", b"debug", b'{"level": "loud"}', b'{"level": "debug", "x": 1}', b" " * 10**6 + b"{}"]
)
async def test_another_body_is_a_problem_and_changes_nothing(operations: AsyncClient, body: bytes) -> None:
    answer = await operations.put("/log-level", content=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:problem-type:invalid"
    assert (await operations.get("/log-level")).json() == {"level": "info"}
