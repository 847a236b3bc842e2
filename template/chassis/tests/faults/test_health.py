"""What a probe of a real process is answered, whatever befalls its database."""

import asyncio
from http import HTTPStatus
from typing import NamedTuple

import pytest
from httpx import AsyncClient

from chassis.data import Database
from chassis.jobs import Outbox

from tests.faults.conftest import publish
from tests.faults.effects.messages import WriteLate
from tests.faults.fleet import Fleet, Started
from tests.faults.ledger import Ledger
from tests.faults.server import Postgres

# A second, as orchestrators wait by default, and another for a busy machine; the database would be waited for longer.
PROBE_SECONDS = 2
# More than one hung check, if each probe began another.
PROBES = 20
COMMANDS = ("api", "worker")


class Health(NamedTuple):
    live: int
    ready: int
    detail: str


async def probe(process: Started) -> Health:
    """Ask as an orchestrator does, in its time."""
    async with AsyncClient(base_url=process.operations, timeout=PROBE_SECONDS) as client:
        live, ready = [await client.get(path) for path in ("/livez", "/readyz")]
    is_problem = ready.headers["content-type"] == "application/problem+json"
    return Health(live.status_code, ready.status_code, ready.json()["detail"] if is_problem else "")


async def until_told(process: Started, *details: str) -> None:
    """Wait until one of these is what makes the process not ready; it is live all the time."""
    async with asyncio.timeout(30):
        while (found := await probe(process)).detail not in details:
            assert found.live == HTTPStatus.OK
            await asyncio.sleep(0.05)
    assert found.ready == HTTPStatus.SERVICE_UNAVAILABLE


async def test_a_frozen_database_makes_both_processes_not_ready_and_every_probe_is_answered(
    fleet: Fleet, server: Postgres
) -> None:
    api, worker = [await fleet.start(command) for command in COMMANDS]
    server.freeze()
    await until_told(api, "Not ready: database.")
    await until_told(worker, "Not ready: database, worker.")
    for process in (api, worker):
        found = [await probe(process) for _ in range(PROBES)]
        assert {(each.live, each.ready) for each in found} == {(HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)}
    server.thaw()
    for process in (api, worker):
        await process.ready()


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_process_is_not_ready_before_the_migrations_it_knows_and_stays_so_after_newer_ones(
    fleet: Fleet, database: Database, command: str
) -> None:
    await database.execute("DELETE FROM alembic_version WHERE version_num = 'notes_0001'")
    process = await fleet.launch(command)
    async with asyncio.timeout(60):
        while "listening" not in process.log.read_text():
            await asyncio.sleep(0.05)
    await until_told(process, "Not ready: migrations.")
    await database.execute("INSERT INTO alembic_version VALUES ('notes_0002')")
    await process.ready()


async def test_a_worker_whose_claims_fail_is_not_ready_though_the_database_answers(
    fleet: Fleet, database: Database
) -> None:
    worker = await fleet.start("worker")
    await database.execute("ALTER TABLE chassis_jobs RENAME TO elsewhere")
    await until_told(worker, "Not ready: worker.")
    await database.execute("ALTER TABLE elsewhere RENAME TO chassis_jobs")
    await worker.ready()


async def test_a_process_that_was_told_to_end_is_not_ready_while_it_serves(fleet: Fleet, server: Postgres) -> None:
    api = await fleet.start("api", variables={"SHUTDOWN_DELAY": "60"})
    server.freeze()
    api.process.terminate()
    await until_told(api, "Not ready: draining.")
    async with AsyncClient(base_url=api.url) as client:
        assert (await client.get("/v1/notes")).status_code == HTTPStatus.UNAUTHORIZED


async def test_a_worker_that_finishes_its_jobs_is_not_ready(fleet: Fleet, database: Database, outbox: Outbox) -> None:
    worker = await fleet.start("worker")
    await publish(outbox, Ledger(), [WriteLate(seconds=10)])
    async with asyncio.timeout(20):
        while not await database.fetchval("SELECT count(*) FROM chassis_jobs WHERE worker IS NOT NULL"):
            await asyncio.sleep(0.05)
    worker.process.terminate()
    await until_told(worker, "Not ready: draining.")
