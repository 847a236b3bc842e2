"""A job runs at least once, its effects in our database exactly once, and a failure is kept as a dead letter."""

import asyncio
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from chassis.data import Database, open_database
from chassis.jobs import Outbox, Transaction, Worker, handle, max_connections
from chassis.jobs._runner import BACKOFF_LIMIT_SECONDS, backoff
from chassis.settings import Settings
from chassis.testing import Drain, drain_queue

from tests.jobs.conftest import states
from tests.ops.conftest import Lines
from tests.sample.modules.notes import handlers, service
from tests.sample.modules.notes.domain import Note
from tests.sample.modules.notes.messages import Explode, NoteTaken


async def take(outbox: Outbox) -> Note:
    async with outbox.transaction() as transaction:
        return await service.take(transaction, "alice", "remember the milk")


async def counted(database: Database, note_id: UUID) -> int:
    async with database.connection() as connection:
        return (await service.get(connection, "alice", note_id)).counted


async def failed(database: Database) -> list[str]:
    rows = await database.fetch("SELECT handler FROM chassis_jobs WHERE dead_at IS NOT NULL")
    return [row["handler"] for row in rows]


async def test_every_handler_of_an_event_runs(outbox: Outbox, database: Database, drain: Drain) -> None:
    note = await take(outbox)
    await drain()
    assert await counted(database, note.id) == 1
    assert handlers.runs[note.id] == 1


async def test_a_failed_run_leaves_no_effects_and_is_tried_again(
    outbox: Outbox, database: Database, drain: Drain
) -> None:
    note = await take(outbox)
    await drain()
    task = Explode(note_id=note.id, times=2)
    async with outbox.transaction() as transaction:
        await transaction.publish(task)
    await drain()
    assert handlers.runs[task.id] == 3
    assert await counted(database, note.id) == 2
    assert await failed(database) == []


async def test_a_job_that_keeps_failing_is_dead_lettered_after_its_last_attempt(
    outbox: Outbox, database: Database, drain: Drain
) -> None:
    task = Explode(note_id=uuid4(), times=100)
    async with outbox.transaction() as transaction:
        await transaction.publish(task)
    await drain()
    assert handlers.runs[task.id] == 3
    assert await failed(database) == ["notes.explode"]


async def test_one_failing_handler_does_not_hold_up_another(outbox: Outbox, database: Database, drain: Drain) -> None:
    async with outbox.transaction() as transaction:
        await transaction.publish(Explode(note_id=uuid4(), times=100))
    note = await take(outbox)
    await drain()
    assert await counted(database, note.id) == 1


async def test_a_payload_that_cannot_be_read_is_dead_lettered(outbox: Outbox, database: Database, drain: Drain) -> None:
    await take(outbox)
    await database.execute("UPDATE chassis_jobs SET payload = 'no json' WHERE handler = 'notes.count'")
    await drain()
    assert await failed(database) == ["notes.count"]


async def test_the_log_of_a_job_has_the_ids_of_its_cause(
    outbox: Outbox, database: Database, drain: Drain, logged: Lines
) -> None:
    await take(outbox)
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = f"00-{trace}-00f067aa0ba902b7-00"
    await database.execute("UPDATE chassis_jobs SET request_id = 'from-the-caller', traceparent = $1", parent)
    await drain()
    done = [line for line in logged() if line["event"] == "job done"]
    assert [(line["request_id"], line["trace_id"]) for line in done] == [("from-the-caller", trace)] * 2


async def test_a_dead_letter_is_logged_as_an_error(outbox: Outbox, drain: Drain) -> None:
    async with outbox.transaction() as transaction:
        await transaction.publish(Explode(note_id=uuid4(), times=100))
    with capture_logs() as logs:
        await drain()
    assert [entry["attempt"] for entry in logs if entry["event"] == "job dead-lettered"] == [3]


async def test_a_full_worker_has_a_connection_for_each_job(settings: Settings) -> None:
    """Twenty jobs that each hold a connection run beside each other, and none loses an attempt to an empty pool."""
    impatient = settings.model_copy(update={"database_pool_timeout": 5})
    together = asyncio.Barrier(impatient.worker_concurrency)

    async def admire(_taken: NoteTaken, _transaction: Transaction) -> None:
        await together.wait()

    handlers = [handle(NoteTaken, admire)]
    async with open_database(impatient, max_connections(impatient)) as database:
        async with Outbox(database, handlers).transaction() as transaction:
            await transaction.publish(*(NoteTaken(note_id=uuid4()) for _ in range(impatient.worker_concurrency)))
        await drain_queue(database, handlers, impatient)
        assert await states(database) == []


@pytest.mark.parametrize(("grace", "left"), [(20.0, []), (0.1, [("queued", 0)])], ids=["enough", "too short"])
async def test_a_running_job_is_finished_at_the_end_or_put_back(
    settings: Settings, database: Database, grace: float, left: list[tuple[str, int]]
) -> None:
    stop, started = asyncio.Event(), asyncio.Event()

    async def admire(_taken: NoteTaken, _transaction: Transaction) -> None:
        started.set()
        await asyncio.sleep(1)

    handlers = [handle(NoteTaken, admire)]
    async with Outbox(database, handlers).transaction() as transaction:
        await transaction.publish(NoteTaken(note_id=uuid4()))
    hurried = settings.model_copy(update={"shutdown_timeout": grace})
    working = asyncio.create_task(Worker(database, handlers, hurried, stop).run())
    await started.wait()
    stop.set()
    await working
    assert await states(database) == left


def test_the_back_off_doubles_has_jitter_and_a_limit() -> None:
    for attempt in range(1, 6):
        assert 2**attempt / 4 <= backoff(attempt).total_seconds() <= 2**attempt / 2
    assert len({backoff(3) for _ in range(10)}) > 1
    assert backoff(1_000).total_seconds() <= BACKOFF_LIMIT_SECONDS
