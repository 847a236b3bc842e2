"""A message becomes jobs in the transaction that caused it, or not at all."""

import json
import subprocess
import sys
from uuid import uuid4

import pytest

from chassis.data import Caller, Database
from chassis.jobs import Event, Outbox

from tests.sample.modules.notes.messages import NoteTaken

JOBS = "SELECT entrypoint FROM pgqueuer ORDER BY entrypoint"


async def jobs(database: Database) -> list[str]:
    return [row["entrypoint"] for row in await database.pool.fetch(JOBS)]


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
    async with outbox.transaction(Caller("alice", "from-the-caller", "of-the-caller")) as transaction:
        await transaction.publish(NoteTaken(note_id=uuid4()))
    found = await database.pool.fetch("SELECT DISTINCT headers::text FROM pgqueuer")
    assert [json.loads(row["headers"]) for row in found] == [
        {"request_id": "from-the-caller", "trace_id": "of-the-caller", "version": "1"}
    ]


def test_the_names_of_the_queue_do_not_come_from_the_environment() -> None:
    code = "from chassis.jobs._queue import QUEUE; print(QUEUE.channel, QUEUE.queue_table, QUEUE.function)"
    surprising = {"CHANNEL": "a", "QUEUE_TABLE": "b", "FUNCTION": "c", "PGQUEUER_PREFIX": "d"}
    printed = subprocess.run([sys.executable, "-c", code], env=surprising, check=True, capture_output=True, text=True)
    assert printed.stdout.split() == ["ch_pgqueuer", "pgqueuer", "fn_pgqueuer_changed"]
