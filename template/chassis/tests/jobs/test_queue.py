"""A claim counts its run before it begins, and what ends it holds only for the worker that has it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.types import JobId, QueueEntrypoint, QueueManagerId
from pgqueuer.models import Job as Claimed
from pgqueuer.models import TracebackRecord
from pgqueuer.ports.repository import EntrypointExecutionParameter
from structlog.testing import capture_logs

from chassis.data import Database, open_database
from chassis.jobs import Handler, Job, Outbox, Transaction, handle, handle_without_transaction, work
from chassis.jobs._driver import WaitingDriver
from chassis.jobs._queue import Claim, ClaimLost, Snooze, as_json, check_claim, dead_letter_unknown, queries
from chassis.settings import Settings
from chassis.testing import Drain, drain_queue

from tests.sample.modules.notes import service
from tests.sample.modules.notes.messages import NoteTaken

STEAL = "UPDATE pgqueuer SET queue_manager_id = gen_random_uuid()"


async def queue(database: Database, handlers: Sequence[Handler]) -> None:
    async with Outbox(database, handlers).transaction() as transaction:
        await transaction.publish(NoteTaken(note_id=uuid4()))


async def rows(database: Database) -> list[tuple[str, int]]:
    found = await database.pool.fetch("SELECT status::text, attempts FROM pgqueuer")
    return [(row["status"], row["attempts"]) for row in found]


async def last_error(database: Database) -> str:
    error: str = await database.pool.fetchval(
        "SELECT traceback ->> 'exception_type' FROM pgqueuer_log WHERE status = 'failed' ORDER BY id DESC LIMIT 1"
    )
    return error


def test_half_a_surrogate_pair_can_be_stored() -> None:
    record = TracebackRecord.from_exception(ValueError("\udc80"), JobId(1))
    written = as_json(record)
    assert written
    assert TracebackRecord.model_validate_json(written).exception_message == "?"


async def test_a_run_is_counted_before_it_begins(database: Database, settings: Settings) -> None:
    seen: list[tuple[str, int]] = []

    async def look(_taken: NoteTaken, _transaction: Transaction) -> None:
        seen.extend(await rows(database))

    await queue(database, [handle(NoteTaken, look)])
    await drain_queue(database, [handle(NoteTaken, look)], settings)
    assert seen == [("picked", 1)]


async def test_a_job_that_took_down_its_worker_at_each_run_is_dead_lettered_without_another(
    outbox: Outbox, database: Database, settings: Settings, drain: Drain
) -> None:
    async with outbox.transaction() as transaction:
        note = await service.take(transaction, "alice", "heavy")
    await database.pool.execute(
        "UPDATE pgqueuer SET status = 'picked', attempts = $1, queue_manager_id = gen_random_uuid(), "
        "heartbeat = now() - interval '1 minute'",
        settings.worker_max_attempts,
    )
    await drain()
    assert {status for status, _ in await rows(database)} == {"failed"}
    assert await last_error(database) == "AttemptsExhausted"
    async with database.connection() as connection:
        assert (await service.get(connection, "alice", note.id)).counted == 0


async def end(how: str) -> None:
    """End a run in one of the ways there are."""
    if how == "fails":
        raise RuntimeError
    if how == "is interrupted":
        await asyncio.sleep(20)


@pytest.mark.parametrize("how", ["comes to its end", "fails", "is interrupted"])
@pytest.mark.parametrize("without_transaction", [False, True], ids=["in a transaction", "without one"])
async def test_a_worker_that_was_silent_too_long_changes_nothing(
    database: Database, settings: Settings, *, without_transaction: bool, how: str
) -> None:
    """While it runs, the job is given to another; then the run writes, and ends."""
    stop, ended = asyncio.Event(), asyncio.Event()

    async def write(transaction: Transaction) -> None:
        await transaction.connection.execute(
            "INSERT INTO chassis_inbox (message_id, handler) VALUES ($1, 'ours')", uuid4()
        )

    async def inside(_taken: NoteTaken, transaction: Transaction) -> None:
        await database.pool.execute(STEAL)
        await write(transaction)
        ended.set()
        await end(how)

    async def beside(_taken: NoteTaken, job: Job) -> None:
        await database.pool.execute(STEAL)
        ended.set()
        await end(how)
        async with job.transaction() as transaction:
            await write(transaction)

    handlers = [handle_without_transaction(NoteTaken, beside) if without_transaction else handle(NoteTaken, inside)]
    await queue(database, handlers)
    hurried = settings.model_copy(update={"shutdown_timeout": 0.5})
    working = asyncio.create_task(work(database, handlers, hurried, stop))
    await ended.wait()
    stop.set()
    await working
    assert await rows(database) == [("picked", 1)]
    assert await database.pool.fetchval("SELECT count(*) FROM chassis_inbox") == 0


@pytest.mark.parametrize("how", ["done", "dead-lettered", "retried", "snoozed"])
async def test_the_end_of_a_lost_run_is_none_of_the_next_one_of_the_same_worker(
    outbox: Outbox, database: Database, how: str
) -> None:
    """It came late, as when the database was away, and the worker has the job again."""
    async with outbox.transaction() as transaction:
        await service.take(transaction, "alice", "heavy")
    rows_now = "UPDATE pgqueuer SET status = 'picked', attempts = 2, queue_manager_id = gen_random_uuid() RETURNING *"
    again = [dict(row) for row in await database.pool.fetch(rows_now)]
    first = Claimed.model_validate(again[0] | {"attempts": 1})
    ours = queries(WaitingDriver(database, asyncio.Event()))
    match how:
        case "done":
            await ours.log_jobs([(first, "successful", None)])
        case "dead-lettered":
            await ours.log_jobs([(first, "failed", None)])
        case _:
            reason = Snooze() if how == "snoozed" else RetryRequested()
            await ours.retry_job(first, timedelta(0), TracebackRecord.from_exception(reason, first.id))
    assert [dict(row) for row in await database.pool.fetch("SELECT * FROM pgqueuer ORDER BY id")] == again
    async with database.transaction() as connection:
        with pytest.raises(ClaimLost):
            await check_claim(connection, Claim(first.id, again[0]["queue_manager_id"], 1))


@pytest.mark.parametrize("limit", [0, 2], ids=["without a limit", "with a limit"])
async def test_claims_whose_answer_was_cut_off_do_not_use_up_their_worker(
    outbox: Outbox, database: Database, limit: int
) -> None:
    async with outbox.transaction() as transaction:
        for text in ("one", "two"):
            await service.take(transaction, "alice", text)
    ours = queries(WaitingDriver(database, asyncio.Event()))
    worker, lease = QueueManagerId(uuid4()), timedelta(seconds=10)
    known = {QueueEntrypoint("notes.count"): EntrypointExecutionParameter(concurrency_limit=limit)}

    async def claim() -> list[int]:
        return [job.attempts for job in await ours.dequeue(2, known, worker, 2, lease)]

    assert await claim() == [1, 1]
    assert await claim() == []
    await database.pool.execute("UPDATE pgqueuer SET heartbeat = now() - interval '11 seconds'")
    assert await claim() == [2, 2]


async def test_a_job_that_cannot_be_put_back_at_the_end_waits_for_its_lease(settings: Settings) -> None:
    stop = asyncio.Event()
    stop.set()
    away = Settings.model_validate(settings.model_dump() | {"database_url": "postgresql://postgres@127.0.0.1:1/none"})
    claimed = Claimed.model_validate(
        {"id": 1, "priority": 0, "status": "picked", "entrypoint": "notes.count", "payload": b"", "headers": None}
        | {"queue_manager_id": uuid4()}
        | dict.fromkeys(("created", "updated", "heartbeat", "execute_after"), "2026-01-31T12:00:00Z")
    )
    with capture_logs() as logs:
        async with open_database(away) as database:
            await queries(WaitingDriver(database, stop)).retry_job(claimed, timedelta(0), None)
    assert [entry["job"] for entry in logs] == ["notes.count"]


async def test_jobs_that_no_handler_has_a_name_for_are_dead_lettered_after_a_while(
    outbox: Outbox, database: Database
) -> None:
    async with outbox.transaction() as transaction:
        await service.take(transaction, "alice", "known")
    await database.pool.execute(
        "UPDATE pgqueuer SET heartbeat = now() - interval '2 hours', execute_after = now() - interval '2 hours'"
    )
    async with database.transaction() as connection:
        assert await dead_letter_unknown(connection, ["notes.admire", "notes.count"], timedelta(hours=1)) == []
        assert await dead_letter_unknown(connection, ["notes.admire"], timedelta(hours=3)) == []
        assert await dead_letter_unknown(connection, ["notes.admire"], timedelta(hours=1)) == ["notes.count"]
    assert sorted(await rows(database)) == [("failed", 0), ("queued", 0)]
    assert await last_error(database) == "UnknownTask"
