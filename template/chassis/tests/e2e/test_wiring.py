"""What the parts of the chassis offer is connected in the real processes: limits, keys, pools, schedules, back-off."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from httpx import AsyncClient, Response
from uuid_utils.compat import uuid7

from chassis.data import Database
from chassis.jobs import Outbox
from chassis.testing import Backend, Running, Start

from tests.sample.modules.notes.messages import Explode, NoteTaken

WAIT_SECONDS = 30
DOCS = ("/docs", "/redoc", "/openapi.json")
WAITING = """
    SELECT count(*) = 8 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'UPDATE notes SET counted%'
"""
RETRIED = """
    SELECT attempt, run_at > (errors -> -1 ->> 'at')::timestamptz AS waits FROM chassis_jobs
    WHERE attempt > 0 AND worker IS NULL AND dead_at IS NULL
"""
SCHEDULED = "SELECT name, expression FROM chassis_schedules WHERE due_at IS NOT NULL"


def client_of(backend: Backend) -> AsyncClient:
    return AsyncClient(base_url=backend.url, headers=backend.headers)


@asynccontextmanager
async def connected(backend: Backend) -> AsyncGenerator[asyncio.StreamReader]:
    """Open a connection on which no request is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(backend.url.rpartition(":")[2]))
    try:
        yield reader
    finally:
        writer.close()


async def take(client: AsyncClient, text: str) -> Response:
    return await client.post("/v1/notes", json={"text": text}, headers={"Idempotency-Key": str(uuid7())})


async def explode(outbox: Outbox) -> None:
    """Queue a task that fails at every attempt."""
    async with outbox.transaction() as transaction:
        assert await transaction.enqueue(Explode(note_id=uuid7(), times=100))


async def metrics_of(running: Running) -> list[str]:
    async with AsyncClient() as client:
        return (await client.get(f"{running.operations}/metrics")).text.splitlines()


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401  # whatever is waited for
    """Wait until something holds and give it."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not (found := await holds()):
            await asyncio.sleep(0.05)
    return found


async def until_counted(running: Running, line: str) -> None:
    async def is_counted() -> bool:
        return line in await metrics_of(running)

    await until(is_counted)


async def test_rate_limits_are_attached_to_the_api(start: Start) -> None:
    """By the address that a trusted proxy names, and by the principal."""
    limits = {"RATE_LIMIT_PER_ADDRESS": "3/minute", "RATE_LIMIT_PER_PRINCIPAL": "4/minute"}
    backend = await start("notes:read", API_TRUSTED_PROXIES="127.0.0.1", **limits)
    async with client_of(backend) as client:
        addresses = ["203.0.113.1"] * 4 + ["203.0.113.2"] * 2
        answers = [await client.get("/v1/notes", headers={"X-Forwarded-For": address}) for address in addresses]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 200, 429]
    assert answers[3].json()["type"] == "urn:problem-type:too-many-requests"
    assert answers[3].headers["ratelimit-policy"] == '"address";q=3;w=60'
    assert answers[3].headers["ratelimit"].startswith('"address";r=0;t=')
    assert answers[5].headers["ratelimit-policy"] == '"address";q=3;w=60, "principal";q=4;w=60'
    # One by its address is refused before its route is looked for.
    for route in ("unmatched", "/v1/notes"):
        await until_counted(backend.api, f'http_requests_total{{method="GET",route="{route}",status="429"}} 1.0')


async def test_a_cursor_of_one_process_is_accepted_by_another_with_the_same_keys(start: Start) -> None:
    keys = secrets.token_urlsafe(32)
    first = await start("notes:read notes:write", SIGNING_KEYS=keys)
    second = await start("notes:read", SIGNING_KEYS=f"{secrets.token_urlsafe(32)},{keys}")
    async with client_of(first) as client:
        for text in ("older", "newer"):
            assert (await take(client, text)).status_code == 201
        page = (await client.get("/v1/notes", params={"limit": 1})).json()
    assert [note["text"] for note in page["items"]] == ["newer"]
    async with client_of(second) as client:
        answer = await client.get("/v1/notes", params={"limit": 1, "cursor": page["next_cursor"]})
    assert answer.status_code == 200, answer.text
    assert [note["text"] for note in answer.json()["items"]] == ["older"]


async def test_bodies_are_limited_and_docs_are_served_as_the_settings_say(start: Start) -> None:
    backend = await start("notes:write", API_BODY_LIMIT="100", API_DOCS="true")
    async with client_of(backend) as client:
        assert (await take(client, "short")).status_code == 201
        answer = await take(client, "long" * 50)
        assert [(await client.get(path)).status_code for path in DOCS] == [200, 200, 200]
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:problem-type:content-too-large"


async def test_connections_are_limited_and_docs_are_hidden_as_the_settings_say(start: Start) -> None:
    backend = await start("notes:read", API_CONNECTIONS="1", API_DOCS="false")
    async with client_of(backend) as client:
        assert [(await client.get(path)).status_code for path in DOCS] == [404, 404, 404]
        async with connected(backend) as reader:  # besides the one that the client keeps
            assert (await reader.read()).startswith(b"HTTP/1.1 503")


async def test_the_pool_of_the_worker_has_room_for_its_jobs(start: Start, database: Database, outbox: Outbox) -> None:
    """As many jobs as WORKER_CONCURRENCY wait for a lock at once, each in a transaction of its own."""
    variables = {"WORKER_CONCURRENCY": "8", "DATABASE_POOL_SIZE": "2", "DATABASE_STATEMENT_TIMEOUT": "60"}
    backend = await start("notes:write", **variables)
    async with client_of(backend) as client:
        note_id = UUID((await take(client, "wanted by all")).json()["id"])
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM notes WHERE id = $1 FOR UPDATE", note_id)
        async with outbox.transaction() as transaction:
            await transaction.publish(*(NoteTaken(note_id=note_id) for _ in range(8)))
        await until(lambda: database.fetchval(WAITING))
    await until(lambda: database.fetchval("SELECT count(*) = 0 FROM chassis_jobs"))
    assert await database.fetchval("SELECT counted FROM notes") == 9


async def test_a_dead_letter_is_counted_as_one(start: Start, outbox: Outbox) -> None:
    backend = await start("", WORKER_MAX_ATTEMPTS="1")
    await explode(outbox)
    await until_counted(backend.worker, 'jobs_total{job="notes.explode",outcome="dead_lettered"} 1.0')
    assert 'jobs_total{job="notes.explode",outcome="retried"} 0.0' in await metrics_of(backend.worker)


async def test_a_failed_attempt_is_retried_later(start: Start, outbox: Outbox, database: Database) -> None:
    await start("", WORKER_MAX_ATTEMPTS="10")
    await explode(outbox)
    row = await until(lambda: database.fetchrow(RETRIED))
    assert row["waits"], row


async def test_a_schedule_of_a_module_is_registered_and_ticks(start: Start, database: Database) -> None:
    backend = await start("")
    row = await until(lambda: database.fetchrow(SCHEDULED))
    assert tuple(row) == ("notes.Tidy", "0 4 1 1 *")
    await database.execute("UPDATE chassis_schedules SET due_at = now()")
    await until_counted(backend.worker, 'jobs_total{job="notes.tidy",outcome="done"} 1.0')


async def test_the_log_level_of_each_process_is_changed_by_its_operations_port(start: Start) -> None:
    backend = await start("", LOG_LEVEL="error")
    async with AsyncClient() as client:
        for running in (backend.api, backend.worker):
            assert (await client.get(f"{running.operations}/log-level")).json() == {"level": "error"}
            answer = await client.put(f"{running.operations}/log-level", json={"level": "warning"})
            assert (answer.status_code, answer.json()) == (200, {"level": "warning"})
            assert '"log level changed"' in running.log.read_text()
        assert (await client.put(f"{backend.url}/log-level", json={"level": "debug"})).status_code == 404
