"""What a router gets for reading and writing, and what a body refuses."""

import json

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from chassis.data import Database, open_database
from chassis.http import Public, Reading, Router, Writing, connect
from chassis.jobs import Outbox
from chassis.settings import Settings
from chassis.testing import client_of

from tests.http.applications import application_of

KEY = {"Idempotency-Key": "a"}
JSON = {"Content-Type": "application/json"}


async def test_what_is_acknowledged_is_committed(client: AsyncClient, database: Database) -> None:
    answer = await client.post("/v1/notes", json={"text": "kept"}, headers=KEY)
    assert answer.status_code == 201
    assert await database.fetchval("SELECT text FROM notes WHERE id = $1", answer.json()["id"]) == "kept"


async def test_a_commit_that_fails_is_no_success(client: AsyncClient, database: Database) -> None:
    """The parent is missing, which the database finds out at the commit, when the answer is already made."""
    orphan = {"text": "lost", "parent_id": "01890000-0000-7000-8000-000000000000"}
    answer = await client.post("/v1/notes", json=orphan, headers=KEY)
    assert answer.status_code == 500
    assert await database.fetchval("SELECT count(*) FROM notes") == 0
    assert await database.fetchval("SELECT count(*) FROM chassis_jobs") == 0


async def test_reading_opens_no_transaction_and_writing_does(database: Database, outbox: Outbox) -> None:
    router = Router("/v1", tags=["state"])

    @router.get("/state")
    async def state(_caller: Public, reading: Reading, writing: Writing) -> tuple[bool, bool]:
        return reading.is_in_transaction(), writing.connection.is_in_transaction()

    api = application_of(router)
    connect(api, database, outbox)
    async with client_of(api) as client:
        assert (await client.get("/v1/state")).json() == [False, True]


@pytest.mark.parametrize("text", ["nul \x00", "", "x" * 1001])
async def test_text_that_cannot_be_stored_is_refused(client: AsyncClient, text: str) -> None:
    answer = await client.post("/v1/notes", content=json.dumps({"text": text}), headers=KEY | JSON)
    assert answer.status_code == 422


async def test_text_is_kept_as_it_came(client: AsyncClient) -> None:
    text = " \t'; DROP TABLE notes; -- \n ü 🏳️‍🌈 \u202e "
    taken = (await client.post("/v1/notes", json={"text": text}, headers=KEY)).json()
    assert (await client.get(f"/v1/notes/{taken['id']}")).json()["text"] == text


async def test_a_module_keeps_to_a_setting_of_its_own(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_LONGEST", "3")
    refused = await client.post("/v1/notes", json={"text": "four"}, headers=KEY)
    assert refused.json()["title"] == "The note is too long"
    assert (await client.post("/v1/notes", json={"text": "two"}, headers=KEY)).status_code == 201


async def test_an_unknown_field_is_refused(client: AsyncClient) -> None:
    answer = await client.post("/v1/notes", json={"text": "a", "counted": 7}, headers=KEY)
    assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (422, "Extra inputs are not permitted")


async def test_a_database_that_is_away_is_unavailable_for_now(
    settings: Settings, api: FastAPI, client: AsyncClient, outbox: Outbox
) -> None:
    away = Settings.model_validate(settings.model_dump() | {"database_url": "postgresql://postgres@127.0.0.1:1/none"})
    async with open_database(away) as database:
        connect(api, database, outbox)
        answer = await client.get("/v1/notes")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


async def test_fields_of_one_name_are_one_list(client: AsyncClient) -> None:
    """RFC 9110, section 5.3."""
    client.headers.pop("accept")
    fields = [("accept", "text/html"), ("accept", "application/json")]
    assert (await client.get("/v1/notes", headers=fields)).status_code == 200
    assert (await client.get("/v1/notes", headers=fields[:1])).status_code == 406
