"""A request that is sent again has one effect and the answer of the first time."""

import asyncio
from collections import Counter

import pytest
from fastapi.responses import StreamingResponse
from httpx import AsyncClient, Response

from chassis.data import Database
from chassis.http import IdempotentTransaction, Public, Router, connect
from chassis.jobs import Outbox
from chassis.testing import client_of

from tests.http.applications import application_of
from tests.ops.conftest import Lines
from tests.sample.modules.notes import service

ORPHAN = {"text": "lost", "parent_id": "01890000-0000-7000-8000-000000000000"}


async def take(client: AsyncClient, key: str, text: str = "once") -> Response:
    return await client.post("/v1/notes", json={"text": text}, headers={"Idempotency-Key": key})


async def count(database: Database) -> int:
    found: int = await database.fetchval("SELECT count(*) FROM notes")
    return found


async def test_a_replay_gives_the_first_answer_and_no_second_effect(client: AsyncClient, database: Database) -> None:
    first = await take(client, "a")
    again = await take(client, "a")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == "application/json"
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await count(database) == 1
    assert await database.fetchval("SELECT count(*) FROM chassis_jobs") == 2


async def test_a_key_bare_or_quoted_is_the_same(client: AsyncClient, database: Database) -> None:
    assert (await take(client, '"a"')).content == (await take(client, "a")).content
    assert await count(database) == 1


async def test_a_key_with_another_request_is_refused(client: AsyncClient, database: Database) -> None:
    await take(client, "a")
    answer = await take(client, "a", "another")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem-type:idempotency-key-reused")
    elsewhere = await client.post("/v1/notes?x=1", json={"text": "once"}, headers={"Idempotency-Key": "a"})
    assert elsewhere.status_code == 422
    assert await count(database) == 1


async def test_fifty_at_once_have_one_effect(client: AsyncClient, database: Database) -> None:
    answers = await asyncio.gather(*(take(client, "a") for _ in range(50)))
    assert Counter(answer.status_code for answer in answers)[201] >= 1
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert await count(database) == 1


async def test_a_refused_request_leaves_its_key_free(client: AsyncClient, database: Database) -> None:
    assert (await take(client, "a", "")).status_code == 422
    assert (await take(client, "a", "mended")).status_code == 201
    assert await count(database) == 1


async def test_a_commit_that_fails_leaves_the_key_free(client: AsyncClient, database: Database) -> None:
    answer = await client.post("/v1/notes", json=ORPHAN, headers={"Idempotency-Key": "a"})
    assert answer.status_code == 500
    assert await database.fetchval("SELECT count(*) FROM chassis_idempotency_keys") == 0
    assert (await take(client, "a")).status_code == 201


async def test_a_stream_cannot_be_kept_and_its_effect_is_taken_back(
    database: Database, outbox: Outbox, logged: Lines
) -> None:
    router = Router("/v1/streams", tags=["streams"])

    @router.post("")
    async def stream(_caller: Public, transaction: IdempotentTransaction) -> StreamingResponse:
        await service.take(transaction, "alice", "streamed")
        return StreamingResponse(iter(["ok"]))

    api = application_of(router)
    connect(api, database, outbox)
    async with client_of(api) as client:
        assert (await client.post("/v1/streams", headers={"Idempotency-Key": "a"})).status_code == 500
    assert "give it whole, not as a stream" in str(logged())
    assert await count(database) == 0


async def test_the_answer_is_stored_with_the_effect(client: AsyncClient, database: Database) -> None:
    """Between commit and answer a process may die: then the replay finds both or neither."""
    taken = await take(client, "a")
    row = await database.fetchrow("SELECT xmin::text, status, body FROM chassis_idempotency_keys")
    assert row is not None
    assert (row["status"], row["body"]) == (201, taken.content)
    assert await database.fetchval("SELECT xmin::text FROM notes") == row["xmin"]


async def test_a_key_is_one_principals_own(client: AsyncClient, stranger: AsyncClient, database: Database) -> None:
    await take(client, "a")
    answer = await take(stranger, "a")
    assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (201, None)
    assert await count(database) == 2


async def test_a_key_is_free_again_after_a_day(client: AsyncClient, database: Database) -> None:
    await take(client, "a")
    await database.execute("UPDATE chassis_idempotency_keys SET created_at = created_at - interval '25 hours'")
    assert "idempotency-replayed" not in (await take(client, "a")).headers
    assert await count(database) == 2
    assert (await take(client, "a")).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, "\xe9"])
async def test_a_key_that_is_none_is_refused(client: AsyncClient, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1"))]
    answer = await client.post("/v1/notes", json={"text": "a"}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem-type:idempotency-key-invalid")


async def test_a_key_is_required(client: AsyncClient) -> None:
    answer = await client.post("/v1/notes", json={"text": "a"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem-type:idempotency-key-required")
