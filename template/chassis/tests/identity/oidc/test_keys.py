"""The issuer's keys: found where it says, fetched anew when one is missing, kept while it is away."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from chassis.data import Database
from chassis.identity.oidc import _keys as keys

from tests.identity.oidc.conftest import Issuer, away, believing, make_key, status

DISCOVERY = "/.well-known/openid-configuration"


async def test_the_keys_are_discovered_once_for_many_at_once(caller: AsyncClient, issuer: Issuer) -> None:
    answers = await asyncio.gather(*(status(caller, issuer.token(sub=f"user{number}")) for number in range(20)))
    assert set(answers) == {200}
    assert issuer.requests == [DISCOVERY, "/keys"]


async def test_a_new_key_is_fetched_and_the_old_one_is_gone(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(caller, issuer.token(sub="before")) == 200
    monkeypatch.setattr(keys, "FLOOR_SECONDS", 0.0)
    second = make_key()
    issuer.keys = {"second": second}
    assert await status(caller, issuer.token({"kid": "second"}, second)) == 200
    assert await status(caller, issuer.token()) == 401


async def test_made_up_keys_cause_no_more_requests_than_the_floor(caller: AsyncClient, issuer: Issuer) -> None:
    assert await status(caller, issuer.token()) == 200
    answers = await asyncio.gather(*(status(caller, issuer.token({"kid": f"made-up-{n}"})) for n in range(50)))
    assert set(answers) == {401}
    assert issuer.requests == [DISCOVERY, "/keys"]


async def test_the_keys_outlive_an_outage_of_the_issuer(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(caller, issuer.token()) == 200
    monkeypatch.setattr(keys, "FLOOR_SECONDS", 0.0)
    monkeypatch.setattr(keys, "LIFE_SECONDS", 0.0)
    with away(issuer):
        assert await status(caller, issuer.token(sub="bob")) == 200
        assert await status(caller, issuer.token({"kid": "unknown"})) == 401


async def test_without_any_key_the_service_is_unavailable_until_there_is_one(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "FIRST_FLOOR_SECONDS", 0.0)
    with away(issuer):
        assert await status(caller, issuer.token()) == 503
    assert await status(caller, issuer.token()) == 200


@pytest.mark.parametrize("code", [301, 302, 307, 404, 500])
async def test_another_answer_than_the_document_is_none(caller: AsyncClient, issuer: Issuer, code: int) -> None:
    issuer.status = code
    assert await status(caller, issuer.token()) == 503
    assert issuer.requests == [DISCOVERY]


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example.org"},
        {"jwks_uri": "http://evil.example.org/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
async def test_a_discovery_document_that_leads_astray_is_not_followed(
    caller: AsyncClient, issuer: Issuer, discovery: dict[str, Any]
) -> None:
    issuer.discovery |= discovery
    assert await status(caller, issuer.token()) == 503
    assert issuer.requests == [DISCOVERY]


@pytest.mark.parametrize("document", [[], {}, {"keys": []}, {"keys": [{"kty": "RSA"}]}, {"keys": 7}, {"keys": ["a"]}])
async def test_keys_that_are_none_are_refused(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, document: object
) -> None:
    found = {DISCOVERY: issuer.discovery, "/keys": document}
    monkeypatch.setattr(issuer, "documents", lambda: found)
    assert await status(caller, issuer.token()) == 503


async def test_a_document_is_read_up_to_a_size(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_DOCUMENT", 100)
    assert await status(caller, issuer.token()) == 503


async def test_the_address_of_the_keys_can_be_set(
    monkeypatch: pytest.MonkeyPatch, issuer: Issuer, api: FastAPI, database: Database
) -> None:
    monkeypatch.setenv("OIDC_JWKS_URL", f"{issuer.url}/keys")
    async with believing(api, database) as caller:
        assert await status(caller, issuer.token()) == 200
    assert issuer.requests == ["/keys"]
