"""Readiness: whatever hangs, there is an answer."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event

import pytest

from chassis.data import open_database
from chassis.ops import Readiness, _checks
from chassis.settings import Settings

runs: list[str] = []


async def works() -> bool:
    return True


async def fails() -> bool:
    return False


async def hangs() -> bool:
    runs.append("hangs")
    await asyncio.Event().wait()
    return True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checks, "READY_SECONDS", 0.05)
    runs.clear()


async def test_the_checks_that_fail_or_hang_are_named() -> None:
    checks = {"database": works, "migrations": fails, "worker": hangs}
    assert await Readiness(asyncio.Event(), checks).failing() == ["migrations", "worker"]


async def test_a_check_that_hangs_is_not_run_again_until_it_has_ended() -> None:
    readiness = Readiness(asyncio.Event(), {"worker": hangs})
    assert [await readiness.failing() for _ in range(3)] == [["worker"]] * 3
    assert runs == ["hangs"]


async def test_a_check_is_run_for_each_probe() -> None:
    answers = [False, True, False]

    async def answer() -> bool:
        return answers.pop()

    readiness = Readiness(asyncio.Event(), {"worker": answer})
    assert [await readiness.failing() for _ in range(3)] == [["worker"], [], ["worker"]]


async def test_a_process_that_drains_is_not_ready_whatever_hangs() -> None:
    stop = asyncio.Event()
    stop.set()
    assert await Readiness(stop, {"database": hangs}).failing() == ["draining"]
    assert runs == []


@contextmanager
def hanging_resolver(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Let the resolver hang for the length of the block, in its thread."""
    answered = Event()

    def resolve(*_: object, **__: object) -> None:
        answered.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        yield
    finally:
        answered.set()


# The resolver of uvloop is not Python's.
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})])
async def test_a_resolver_that_hangs_delays_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_validate({"database_url": "postgresql://postgres@database.test/none"})
    async with open_database(settings) as database:
        readiness = Readiness(asyncio.Event(), {"database": database.ready, "worker": works})
        with hanging_resolver(monkeypatch):
            assert [await readiness.failing() for _ in range(2)] == [["database"]] * 2
