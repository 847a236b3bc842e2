"""What the fixtures do beside lending."""

import pytest
from httpx import AsyncClient

from chassis.testing import OK, answers, remote


async def test_a_server_on_this_machine_is_reached_past_a_proxy_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with remote(answers(OK)) as server, AsyncClient() as client:
        assert (await client.get(server.url)).status_code == 200
