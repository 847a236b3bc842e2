"""API keys: shown once, kept as hashes, believed until they are taken back or end."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from chassis.data import Database
from chassis.data.migration import migrate
from chassis.dev import project
from chassis.identity.api_keys import api_keys
from chassis.identity.api_keys._keys import NewKey, hash_of
from chassis.runtime import Service
from chassis.settings import Settings
from chassis.testing import client_of
from chassis.testing._databases import Server

type Keys = Callable[..., Awaitable[str]]

KEY = {"idempotency-key": "a"}
MAKE = ("create", "--subject", "alice", "--scope", "notes:read notes:write")


@pytest.fixture(scope="session")
def service() -> Service:
    """The sample service with API keys in place of its issuer."""
    return replace(project.service(), auth=api_keys)


@pytest.fixture(scope="session")
def worker_database(server: Server, worker_id: str, service: Service) -> str:
    """A database with the table of the keys, too."""

    async def make() -> str:
        url = await server.copy(f"{worker_id}_api_keys")
        await migrate(Settings.model_validate({"database_url": url}), service.migrations)
        return url

    return asyncio.run(make())


@pytest.fixture
def keys(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Keys:
    """Run `keys` with these arguments and give what it prints; it has an event loop of its own."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)

    async def run(*arguments: str) -> str:
        await asyncio.to_thread(service.main, ["keys", *arguments])
        return capsys.readouterr().out.strip()

    return run


@pytest.fixture
async def caller(api: FastAPI, database: Database) -> AsyncGenerator[AsyncClient]:
    """A client without a key, of an API that believes the keys in its database."""
    async with api_keys.open(database) as authenticate, client_of(api) as client:
        api.state.authenticate = authenticate
        del client.headers["authorization"]
        yield client


async def status(client: AsyncClient, key: str) -> int:
    return (await client.get("/v1/notes", headers={"authorization": f"Bearer {key}"})).status_code


async def test_a_key_is_shown_once_and_kept_as_a_hash(caller: AsyncClient, keys: Keys, database: Database) -> None:
    key = await keys(*MAKE)
    found = re.fullmatch(r"key_([a-z0-9]{12})_([A-Za-z0-9_-]{43})", key)
    assert found
    assert await status(caller, key) == 200
    row = await database.fetchrow("SELECT id, hash, row_to_json(chassis_api_keys)::text AS whole FROM chassis_api_keys")
    assert row
    assert (row["id"], row["hash"]) == (found[1], hash_of(found[2]))
    assert found[2] not in row["whole"]
    listed = await keys("list")
    assert found[1] in listed
    assert found[2] not in listed


async def test_a_key_does_what_its_scopes_say_for_its_subject(caller: AsyncClient, keys: Keys) -> None:
    alice = {"authorization": f"Bearer {await keys(*MAKE)}"}
    bob = {"authorization": f"Bearer {await keys('create', '--subject', 'bob', '--scope', 'notes:read')}"}
    url = (await caller.post("/v1/notes", json={"text": "a"}, headers=alice | KEY)).headers["location"]
    assert (await caller.get(url, headers=alice)).status_code == 200
    assert (await caller.get(url, headers=bob)).status_code == 404
    assert (await caller.post("/v1/notes", json={"text": "a"}, headers=bob | KEY)).status_code == 403


async def test_a_key_that_is_none_is_refused(caller: AsyncClient, keys: Keys) -> None:
    key, other = await keys(*MAKE), NewKey().text
    shown = key[:17]
    for wrong in (other, f"{shown}{other[17:]}", key[:-1], f"{key}a", key.upper(), shown, "key__", "a" * 8000, key[4:]):
        answer = await caller.get("/v1/notes", headers={"authorization": f"Bearer {wrong}"})
        assert (answer.status_code, wrong in answer.text) == (401, False)
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_key_that_is_revoked_or_has_ended_is_refused(
    caller: AsyncClient, keys: Keys, database: Database
) -> None:
    revoked, ended = await keys(*MAKE), await keys(*MAKE)
    assert await keys("revoke", revoked[4:16]) == f"{revoked[4:16]} is revoked."
    await database.execute("UPDATE chassis_api_keys SET expires_at = now() WHERE id = $1", ended[4:16])
    assert [await status(caller, key) for key in (revoked, ended)] == [401, 401]
    assert f"{revoked[4:16]}  alice  notes:read notes:write  revoked " in await keys("list")


async def test_a_rotated_key_works_beside_the_new_one_for_a_while(
    caller: AsyncClient, keys: Keys, database: Database
) -> None:
    old = await keys(*MAKE)
    new = await keys("rotate", old[4:16], "--grace", "1")
    assert [await status(caller, key) for key in (old, new)] == [200, 200]
    await database.execute("UPDATE chassis_api_keys SET expires_at = expires_at - interval '1 hour'")
    assert [await status(caller, key) for key in (old, new)] == [401, 200]
    rows = await database.fetch("SELECT DISTINCT subject, scopes FROM chassis_api_keys")
    assert [tuple(row) for row in rows] == [("alice", ["notes:read", "notes:write"])]


@pytest.mark.parametrize("action", ["rotate", "revoke"])
async def test_a_key_that_is_not_there_is_said(keys: Keys, capsys: pytest.CaptureFixture[str], action: str) -> None:
    with pytest.raises(SystemExit) as ended:
        await keys(action, "nothing")
    assert ended.value.code == 2
    assert "no key nothing is in use" in capsys.readouterr().err
    assert await keys("list") == "There is no key."


async def test_the_last_use_is_written_once_a_minute(caller: AsyncClient, keys: Keys, database: Database) -> None:
    key = await keys(*MAKE)
    versions: list[tuple[str, bool]] = []
    for _ in range(2):
        assert await status(caller, key) == 200
        row = await database.fetchrow("SELECT xmin::text, last_used_at IS NOT NULL FROM chassis_api_keys")
        assert row
        versions.append(tuple(row))
    assert versions[0] == versions[1]
    assert versions[0][1]
    await database.execute("UPDATE chassis_api_keys SET last_used_at = last_used_at - interval '61 seconds'")
    assert await status(caller, key) == 200
    assert await database.fetchval("SELECT last_used_at > now() - interval '30 seconds' FROM chassis_api_keys")
