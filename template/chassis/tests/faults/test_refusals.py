"""The database answers, and refuses: callers get 503, workers wait, and both recover by themselves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from secrets import token_hex
from time import perf_counter
from urllib.parse import urlsplit

import asyncpg
import pytest
from httpx import AsyncClient

from chassis.testing._databases import execute

from tests.faults.fleet import Fleet, Started
from tests.faults.test_connections import AWAY, BACK, until_logged

GRANT = """
    CREATE ROLE {role} LOGIN PASSWORD 'right';
    GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
    GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role};
"""
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"
FILL = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON notes EXECUTE FUNCTION refuse();
    CREATE TRIGGER refuse BEFORE UPDATE ON chassis_jobs EXECUTE FUNCTION refuse();
"""
# How each begins, and how it ends.
REFUSALS = {
    "wrong password": ("ALTER ROLE {role} PASSWORD 'wrong'", "ALTER ROLE {role} PASSWORD 'right'"),
    "not granted": ("REVOKE ALL ON notes, chassis_jobs FROM {role}", "GRANT ALL ON notes, chassis_jobs TO {role}"),
    "read-only": (
        'ALTER DATABASE "{database}" SET default_transaction_read_only = on',
        'ALTER DATABASE "{database}" RESET default_transaction_read_only',
    ),
    "full": (FILL, "DROP FUNCTION refuse CASCADE"),
}
REFUSED_SECONDS = 3.0
ERROR = '"level":"error"'


@asynccontextmanager
async def refusing(url: str, refusal: str, role: str) -> AsyncGenerator[None]:
    """Have the database refuse this role for the length of the block."""
    names = {"role": role, "database": urlsplit(url).path[1:]}
    begin, end = (statements.format_map(names) for statements in REFUSALS[refusal])
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(begin)
        await admin.fetch(CUT, role)
        yield
        await admin.execute(end)
    finally:
        await admin.close()


async def take(client: AsyncClient) -> tuple[int, bool]:
    """Take a note, and give the status of the answer and whether it says when to come again."""
    answer = await client.post("/v1/notes", json={"text": "x"}, headers={"Idempotency-Key": token_hex(8)})
    return answer.status_code, "retry-after" in answer.headers


async def until_taken(client: AsyncClient) -> None:
    async with asyncio.timeout(30):
        while (await take(client))[0] != HTTPStatus.CREATED:
            await asyncio.sleep(0.1)


async def until_unready(worker: Started) -> None:
    async with AsyncClient() as client, asyncio.timeout(30):
        while (await client.get(f"{worker.operations}/readyz")).status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_is_an_outage_that_is_logged_when_it_begins_and_ends(fleet: Fleet, refusal: str) -> None:
    role = f"app_{token_hex(4)}"
    await execute(fleet.database, GRANT.format(role=role))
    parts = urlsplit(fleet.database)
    url = parts._replace(netloc=f"{role}:right@{parts.hostname}:{parts.port}").geturl()
    credential = await asyncio.to_thread(fleet.credential)
    api, worker = [await fleet.start(command, variables={"DATABASE_URL": url}) for command in ("api", "worker")]
    async with AsyncClient(base_url=api.url, headers=credential, timeout=30) as client:
        await until_taken(client)
        async with refusing(fleet.database, refusal, role):
            await until_unready(worker)
            answers, until = set[tuple[int, bool]](), perf_counter() + REFUSED_SECONDS
            while perf_counter() < until:
                answers.add(await take(client))
        await until_taken(client)
        await worker.ready()
        for process in (api, worker):
            while BACK not in process.log.read_text():
                await api.ready()
                await asyncio.sleep(0.1)
    assert answers == {(HTTPStatus.SERVICE_UNAVAILABLE, True)}
    for process in (api, worker):
        logged = process.log.read_text()
        assert [logged.count(line) for line in (AWAY, BACK)] == [1, 1]
        assert ERROR not in logged
        assert process.process.returncode is None


async def test_a_worker_without_a_database_ends_at_once_when_it_is_told_to(fleet: Fleet) -> None:
    worker = await fleet.launch("worker", variables={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    await until_logged(worker, AWAY)
    began = perf_counter()
    status, _ = await worker.terminate()
    assert status == 0
    assert perf_counter() - began < 20  # the time that jobs would be given
