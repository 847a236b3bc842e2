"""Long-running work: the request that asks for it is answered at once, and its owner sees how far it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient, Response

from chassis.data import Database
from chassis.jobs import Outbox
from chassis.jobs._retention import sweep
from chassis.settings import Settings
from chassis.testing import Drain

from tests.sample.modules.notes import persistence
from tests.sample.modules.notes import service as notes
from tests.sample.service import service as sample

TRACKED = "SELECT worker FROM chassis_jobs WHERE handler = 'notes.recount'"


def new_key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


async def take(client: AsyncClient, count: int) -> None:
    for number in range(count):
        assert (await client.post("/v1/notes", json={"text": f"note {number}"}, headers=new_key())).status_code == 201


async def begin(client: AsyncClient) -> Response:
    answer = await client.post("/v1/notes/recount", headers=new_key())
    assert answer.status_code == 202
    return answer


async def seen(client: AsyncClient, location: str) -> dict[str, Any]:
    answer = await client.get(location)
    assert answer.status_code == 200
    job: dict[str, Any] = answer.json()
    return job


async def counted(client: AsyncClient) -> list[int]:
    return [note["counted"] for note in (await client.get("/v1/notes")).json()["items"]]


async def test_a_job_is_followed_from_its_request_to_its_result(client: AsyncClient, drain: Drain) -> None:
    await take(client, 5)
    answer = await begin(client)
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    told = {name: job[name] for name in ("status", "done", "total", "result")}
    assert told == {"status": "queued", "done": 0, "total": None, "result": None}
    assert await seen(client, answer.headers["location"]) == job
    await drain()
    end = await seen(client, answer.headers["location"])
    assert end == job | {"status": "succeeded", "done": 5, "result": "/v1/notes"}
    assert (await client.get(end["result"])).status_code == 200
    assert await counted(client) == [2] * 5


async def test_its_progress_is_seen_while_it_runs(
    client: AsyncClient, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take(client, 5)
    await drain()
    location = (await begin(client)).headers["location"]
    between: list[tuple[str, int]] = []
    list_ids = persistence.list_ids

    async def look(*arguments: Any) -> Sequence[UUID]:  # noqa: ANN401  # as those of list_ids
        job = await seen(client, location)
        between.append((job["status"], job["done"]))
        return await list_ids(*arguments)

    monkeypatch.setattr(persistence, "list_ids", look)
    await drain()
    assert between == [("running", 0), ("running", 2), ("running", 4)]


async def test_a_run_goes_on_where_the_one_before_was_broken_off(
    client: AsyncClient, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take(client, 5)
    location = (await begin(client)).headers["location"]
    list_ids = persistence.list_ids
    breaks = [2, 4]

    async def break_off(connection: Any, owner: str, done: int, limit: int) -> Sequence[UUID]:  # noqa: ANN401  # as it
        if done in breaks:
            breaks.remove(done)
            raise RuntimeError
        return await list_ids(connection, owner, done, limit)

    monkeypatch.setattr(persistence, "list_ids", break_off)
    await drain()
    job = await seen(client, location)
    assert (job["status"], job["done"]) == ("succeeded", 5)
    assert await counted(client) == [2] * 5
    assert breaks == []


async def fail(client: AsyncClient, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> str:
    """Begin one that fails until it is a dead letter, and give its location."""

    async def break_off(*_: object) -> Sequence[UUID]:
        raise RuntimeError

    location: str = (await begin(client)).headers["location"]
    with monkeypatch.context() as broken:
        broken.setattr(persistence, "list_ids", break_off)
        await drain()
    return location


async def test_one_that_failed_is_said_to_and_succeeds_when_it_is_put_back(
    client: AsyncClient, drain: Drain, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take(client, 3)
    location = await fail(client, drain, monkeypatch)
    assert (await seen(client, location))["status"] == "failed"
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    await asyncio.to_thread(sample.main, ["jobs", "retry", "--all"])
    assert (await seen(client, location))["status"] == "queued"
    await drain()
    job = await seen(client, location)
    assert (job["status"], job["done"]) == ("succeeded", 3)


async def test_one_that_was_discarded_stays_failed(
    client: AsyncClient, database: Database, drain: Drain, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = await fail(client, drain, monkeypatch)
    other = (await begin(client)).headers["location"]
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    await asyncio.to_thread(sample.main, ["jobs", "discard", "--all"])
    assert len(await database.fetch(TRACKED)) == 1
    assert (await seen(client, location))["status"] == "failed"
    assert (await seen(client, other))["status"] == "queued"


async def test_anothers_job_answers_as_one_that_is_missing(client: AsyncClient, stranger: AsyncClient) -> None:
    location = (await begin(client)).headers["location"]
    for foreign in (await stranger.get(location), await client.get(f"/v1/jobs/{uuid4()}")):
        assert (foreign.status_code, foreign.json()["type"]) == (404, "urn:problem-type:job-not-found")


async def test_a_request_that_is_sent_again_begins_no_other(client: AsyncClient, database: Database) -> None:
    answers = [await client.post("/v1/notes/recount", headers={"Idempotency-Key": "1"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(await database.fetch(TRACKED)) == 1


async def test_a_request_that_fails_leaves_no_job(outbox: Outbox, database: Database) -> None:
    async def begin_and_fail() -> None:
        async with outbox.transaction() as transaction:
            await notes.begin_recount(transaction, "alice")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await begin_and_fail()
    assert await database.fetchval("SELECT count(*) FROM chassis_tracked_jobs") == 0
    assert await database.fetch(TRACKED) == []


async def test_one_that_may_yet_succeed_is_kept(client: AsyncClient, database: Database, settings: Settings) -> None:
    kept, dropped = [(await begin(client)).headers["location"] for _ in range(2)]
    await database.execute("UPDATE chassis_tracked_jobs SET updated_at = now() - interval '31 days'")
    await database.execute("DELETE FROM chassis_jobs WHERE message_id = $1", UUID(dropped.rpartition("/")[2]))
    await database.execute("UPDATE chassis_jobs SET dead_at = now()")
    assert (await sweep(database, [], settings))["tracked_jobs"] == 1
    assert (await seen(client, kept))["status"] == "failed"
    assert (await client.get(dropped)).status_code == 404


def test_an_api_without_a_tracked_task_has_no_such_route() -> None:
    without = replace(sample, only=["tests.faults.effects"])
    for service_of_tasks, has in ((sample, True), (without, False)):
        assert ("/v1/jobs/{job_id}" in service_of_tasks.create_api().openapi()["paths"]) is has
