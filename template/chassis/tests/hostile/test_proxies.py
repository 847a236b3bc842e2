"""From whom the API accepts `X-Forwarded-*`."""

import json
from pathlib import Path

import pytest

from chassis.settings import Settings

from tests.hostile.conftest import Api, running

FORWARDED = ("X-Forwarded-For: 198.51.100.7, 203.0.113.9", "X-Forwarded-Proto: https")


def clients(api: Api) -> list[str]:
    lines = map(json.loads, api.log.read_text().splitlines())
    return [line["client"] for line in lines if line["event"] == "request"]


async def test_an_unknown_peer_cannot_set_its_address(api: Api) -> None:
    answer = await api.ask("GET /v1/notes", *FORWARDED)
    assert clients(api)[-1] == "127.0.0.1"
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(
    ("trusted", "client"), [("127.0.0.1", "203.0.113.9"), ("127.0.0.0/8, 203.0.113.0/24", "198.51.100.7")]
)
async def test_a_trusted_proxy_sets_the_address_and_the_scheme_of_its_client(
    settings: Settings, tmp_path: Path, trusted: str, client: str
) -> None:
    with running(settings.database_url, tmp_path, API_TRUSTED_PROXIES=trusted) as api:
        answer = await api.ask("GET /v1/notes", *FORWARDED)
        assert clients(api) == [client]
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
