"""A message becomes jobs in the transaction that caused it, or not at all."""

from uuid import uuid4

import pytest

from chassis.data import Caller, Database
from chassis.jobs import Event, Outbox

from tests.sample.modules.notes.messages import NoteTaken

PARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
JOBS = "SELECT handler FROM chassis_jobs ORDER BY handler"


async def jobs(database: Database) -> list[str]:
    return [row["handler"] for row in await database.fetch(JOBS)]


async def test_a_commit_leaves_one_job_for_each_handler(outbox: Outbox, database: Database) -> None:
    async with outbox.transaction() as transaction:
        await transaction.publish(NoteTaken(note_id=uuid4()))
    assert await jobs(database) == ["notes.admire", "notes.count"]


async def test_a_rollback_leaves_no_job_though_the_publishing_was_its_first_statement(
    outbox: Outbox, database: Database
) -> None:
    with pytest.raises(KeyError):
        async with outbox.transaction() as transaction:
            await transaction.publish(NoteTaken(note_id=uuid4()))
            raise KeyError
    assert await jobs(database) == []


async def test_a_message_without_a_handler_makes_no_job(outbox: Outbox, database: Database) -> None:
    class Unhandled(Event):
        pass

    async with outbox.transaction() as transaction:
        await transaction.publish(Unhandled())
    assert await jobs(database) == []


async def test_the_ids_of_request_and_trace_leave_with_the_job(outbox: Outbox, database: Database) -> None:
    async with outbox.transaction(Caller("alice", "from-the-caller", PARENT)) as transaction:
        await transaction.publish(NoteTaken(note_id=uuid4()))
    found = await database.fetch("SELECT DISTINCT request_id, traceparent, version FROM chassis_jobs")
    assert [tuple(row) for row in found] == [("from-the-caller", PARENT, 1)]
