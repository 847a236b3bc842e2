"""How a process serves and ends."""

import asyncio
import socket

import pytest
import uvicorn

from chassis.http import serving
from chassis.ops import create_operations
from chassis.settings import SettingsError

VARIABLES = ("API_HOST", "API_PORT")


async def nothing() -> list[str]:
    return []


async def test_a_port_that_is_taken_is_said_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(SettingsError, match="API_PORT is wrong, cannot listen on"):
            async with serving(create_operations(nothing, {}), address, 1, VARIABLES):
                pass


@pytest.mark.parametrize("host", ["203.0.113.1", "no such host", "::ffff:203.0.113.1"])
async def test_a_host_that_is_not_here_is_said_with_its_variable(host: str) -> None:
    with pytest.raises(SettingsError, match=f"API_HOST is wrong, cannot listen on {host} port 0: [A-Z]"):
        async with serving(create_operations(nothing, {}), (host, 0), 1, VARIABLES):
            pass


async def test_a_server_that_ends_by_itself_is_known_to_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def end(*_: object) -> bool:
        await asyncio.sleep(0)
        return True

    async with serving(create_operations(nothing, {}), ("127.0.0.1", 0), 1, VARIABLES) as server:
        await asyncio.sleep(0)
        assert not server.done()
        monkeypatch.setattr(uvicorn.Server, "on_tick", end)
        await asyncio.wait([server])
