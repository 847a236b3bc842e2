"""The job of a worker that was killed or frozen is done by another, with one effect."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from chassis.jobs import Outbox
from chassis.runtime import handlers_of

from tests.faults.fleet import Fleet, Started
from tests.jobs.conftest import Workers, until
from tests.sample.modules.notes import service
from tests.sample.service import service as sample

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
async def fleet(workers: Workers, tmp_path: Path) -> AsyncGenerator[Fleet]:
    fleet = Fleet(workers.settings.database_url, tmp_path)
    yield fleet
    await fleet.end()


@pytest.fixture
async def note(workers: Workers) -> UUID:
    """Take a note, whose jobs are queued: one counts it."""
    outbox = Outbox(workers.database, handlers_of(sample.modules))
    async with outbox.transaction() as transaction:
        return (await service.take(transaction, "alice", "remember the milk")).id


async def counted(workers: Workers, note: UUID) -> int:
    async with workers.database.connection() as connection:
        return (await service.get(connection, "alice", note)).counted


@asynccontextmanager
async def held(workers: Workers, note: UUID, fleet: Fleet) -> AsyncGenerator[Started]:
    """Start a worker, which counts the note and has to wait, amid its transaction, for the end of the block."""
    async with workers.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM notes WHERE id = $1 FOR UPDATE", note)
        worker = await fleet.start("worker")

        async def is_waiting() -> bool:
            return bool(await workers.database.fetchval(BLOCKED))

        await until(is_waiting)
        yield worker


async def test_a_killed_workers_job_is_done_by_another(workers: Workers, fleet: Fleet, note: UUID) -> None:
    async with held(workers, note, fleet) as worker:
        await worker.kill()
    other = await fleet.start("worker")
    await until(lambda: is_counted(workers, note))
    await until(lambda: is_logged(other, '"job":"notes.count"'))


async def is_counted(workers: Workers, note: UUID) -> bool:
    return await counted(workers, note) == 1


async def is_logged(worker: Started, text: str) -> bool:
    return text in worker.log.read_text()


@pytest.mark.skipif(os.name == "nt", reason="Windows freezes no process")
async def test_a_frozen_workers_job_is_done_by_another_and_its_own_run_changes_nothing(
    workers: Workers, fleet: Fleet, note: UUID
) -> None:
    async with held(workers, note, fleet) as worker:
        worker.freeze()
    await fleet.start("worker")
    await until(lambda: is_counted(workers, note))
    worker.thaw()
    await until(lambda: is_logged(worker, '"attempt":1'))
    status, _ = await worker.terminate()
    assert status == 0
    assert await counted(workers, note) == 1
