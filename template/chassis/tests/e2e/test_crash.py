"""A process that is killed amid requests: nothing that was acknowledged is lost, nothing is done twice."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from httpx import AsyncClient, TransportError

from chassis.data import Database
from chassis.testing import Backend, Start

KEYS = [f"key-{number}" for number in range(40)]


SLOW_COMMITS = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wait();
"""


@pytest.fixture
async def slow_commits(database: Database) -> AsyncGenerator[None]:
    """Let each commit take long enough for a kill to come between it and an answer that was too early."""
    await database.execute(SLOW_COMMITS)
    yield
    await database.execute("DROP FUNCTION wait CASCADE")


@pytest.mark.usefixtures("slow_commits")
async def test_what_was_acknowledged_outlives_a_kill_and_what_is_sent_again_has_one_effect(
    start: Start, database: Database
) -> None:
    backend = await start("notes:write")
    acknowledged = await take_until_killed(backend, answers_before=10)
    assert len(acknowledged) < len(KEYS)
    assert set(acknowledged) <= set(await texts(database))
    again = await take_all(await start("notes:write"))
    assert set(again) == {201}
    assert sorted(await texts(database)) == sorted(KEYS)


async def take_until_killed(backend: Backend, *, answers_before: int) -> Sequence[str]:
    """Send all requests at once, kill the API when some are answered, and give the keys of those."""
    acknowledged: list[str] = []
    enough = asyncio.Event()

    async def take(client: AsyncClient, key: str) -> None:
        try:
            status = await send(client, key)
        except TransportError:
            return
        if status == 201:
            acknowledged.append(key)
        if len(acknowledged) >= answers_before:
            enough.set()

    async with AsyncClient(base_url=backend.url, headers=backend.headers) as client, asyncio.TaskGroup() as group:
        for key in KEYS:
            group.create_task(take(client, key))
        async with asyncio.timeout(20):
            await enough.wait()
        backend.api.process.kill()
    return acknowledged


async def texts(database: Database) -> list[str]:
    return [row["text"] for row in await database.fetch("SELECT text FROM notes")]


async def take_all(backend: Backend) -> list[int]:
    async with AsyncClient(base_url=backend.url, headers=backend.headers) as client:
        return await asyncio.gather(*(send(client, key) for key in KEYS))


async def send(client: AsyncClient, key: str) -> int:
    answer = await client.post("/v1/notes", json={"text": key}, headers={"Idempotency-Key": key})
    return answer.status_code
