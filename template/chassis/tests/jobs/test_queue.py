"""A claim counts its attempt before it begins, and what ends it holds only for the worker that has it."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from chassis.data import Database, open_database
from chassis.jobs import (
    Delivery,
    Event,
    Handler,
    Job,
    Outbox,
    Task,
    Transaction,
    Worker,
    _ends,
    _worker,
    handle,
    handle_without_transaction,
)
from chassis.jobs._ends import Ends
from chassis.jobs._queue import Claimed, ClaimLost, Failure, Queue, check_claim
from chassis.settings import Settings
from chassis.testing import Drain, drain_queue

from tests.jobs.conftest import states
from tests.sample.modules.notes import service
from tests.sample.modules.notes.messages import NoteTaken

LEASE = 10.0
EXPIRE = "UPDATE chassis_jobs SET run_at = now() - interval '1 second' WHERE worker IS NOT NULL"
STEAL = "UPDATE chassis_jobs SET worker = gen_random_uuid(), claim = claim + 1"
WRITE = "INSERT INTO notes (id, owner, text) VALUES ($1, 'nobody', 'ours')"
FAILURE = Failure(1, "RuntimeError", "boom")


class Plain(Task):
    pass


class Limited(Task):
    delivery = Delivery(concurrency=2)


async def run(_task: Task, _transaction: Transaction) -> None:
    """Do nothing."""


HANDLERS = [handle(Plain, run)]
PLAIN = HANDLERS[0].name


def queue_of(database: Database, **limits: int) -> Queue:
    """Return the queue of another worker, which knows these handlers."""
    return Queue(database, {name.replace("__", "."): limit for name, limit in limits.items()} or {PLAIN: 0}, LEASE)


async def publish(database: Database, handlers: Sequence[Handler], *messages: Task | Event) -> None:
    async with Outbox(database, handlers).transaction() as transaction:
        await transaction.publish(*messages)


async def attempts_of(database: Database) -> list[tuple[int, int]]:
    rows = await database.fetch("SELECT attempt, crashes FROM chassis_jobs ORDER BY id")
    return [(row["attempt"], row["crashes"]) for row in rows]


async def leases_of(database: Database) -> dict[int, datetime]:
    return {row["id"]: row["run_at"] for row in await database.fetch("SELECT id, run_at FROM chassis_jobs")}


def test_an_error_is_stored_whatever_its_characters_and_its_length() -> None:
    written = json.loads(Failure(1, "ValueError", "\udc80\0\\u0000", "x" * 10_000 + "end").as_json())
    assert written["message"] == "?\N{REPLACEMENT CHARACTER}\\u0000"
    assert written["traceback"].endswith("xend")
    assert len(written["traceback"]) < 5_000


async def test_the_last_errors_of_a_job_are_kept(database: Database) -> None:
    await publish(database, HANDLERS, Plain())
    queue = queue_of(database)
    for number in range(12):
        [claimed] = await queue.claim(1, [])
        await queue.release(claimed, timedelta(0), FAILURE._replace(message=str(number)))
    errors = json.loads(await database.fetchval("SELECT errors FROM chassis_jobs"))
    assert [error["message"] for error in errors] == [str(number) for number in range(2, 12)]


async def test_an_attempt_is_counted_before_it_begins(database: Database, settings: Settings) -> None:
    seen: list[tuple[str, int]] = []

    async def look(_taken: NoteTaken, _transaction: Transaction) -> None:
        seen.extend(await states(database))

    await publish(database, [handle(NoteTaken, look)], NoteTaken(note_id=uuid4()))
    await drain_queue(database, [handle(NoteTaken, look)], settings)
    assert seen == [("running", 1)]


async def test_a_job_that_killed_its_worker_at_each_attempt_is_dead_lettered_without_another(
    outbox: Outbox, database: Database, settings: Settings, drain: Drain
) -> None:
    async with outbox.transaction() as transaction:
        note = await service.take(transaction, "alice", "heavy")
    await database.execute(
        "UPDATE chassis_jobs SET worker = gen_random_uuid(), is_alone = true, attempt = $1, "
        "run_at = now() - interval '1 minute'",
        settings.worker_max_attempts,
    )
    await drain()
    assert {status for status, _ in await states(database)} == {"dead"}
    assert await database.fetchval("SELECT min(errors -> -1 ->> 'type') FROM chassis_jobs") == "AttemptsExhausted"
    async with database.connection() as connection:
        assert (await service.get(connection, "alice", note.id)).counted == 0


async def test_a_job_is_blamed_for_the_death_of_its_worker_only_if_it_ran_alone(database: Database) -> None:
    await publish(database, HANDLERS, *(Plain() for _ in range(3)))
    first, second, third = (queue_of(database) for _ in range(3))
    assert [job.attempt for job in await first.claim(3, [])] == [1, 1, 1]
    await database.execute(EXPIRE)
    together = await second.claim(3, [])
    assert [(job.attempt, job.crashes, job.is_alone) for job in together] == [(1, 1, False)] * 3
    await database.execute(EXPIRE)
    [single] = await third.claim(3, [])
    assert (single.attempt, single.crashes, single.is_alone) == (1, 2, True)
    await database.execute("DELETE FROM chassis_jobs WHERE id <> $1", single.id)
    await third.set_alone(single, is_alone=False)
    await database.execute(EXPIRE)
    [again] = await first.claim(3, [])
    assert (again.id, again.attempt, again.crashes) == (single.id, 1, 3)
    await first.set_alone(again, is_alone=True)
    await database.execute(EXPIRE)
    [blamed] = await second.claim(3, [])
    assert (blamed.attempt, blamed.crashes) == (2, 3)


async def test_a_worker_takes_one_job_at_a_time_whose_workers_died_twice(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the one that killed them would do it again together with all that it had beside it."""
    monkeypatch.setattr(_worker, "POLL_SECONDS", 0.02)
    suspects, most = 0, 0

    async def work(task: Plain, _transaction: Transaction) -> None:
        nonlocal suspects, most
        if task.id in claimed:
            suspects += 1
            most = max(most, suspects)
            await asyncio.sleep(0.2)
            suspects -= 1

    handlers = [handle(Plain, work)]
    await publish(database, handlers, *(Plain() for _ in range(3)))
    queue = Queue(database, {handlers[0].name: 0}, LEASE)
    claimed = {job.message_id for job in await queue.claim(9, [])}
    await database.execute("UPDATE chassis_jobs SET crashes = 1")
    await database.execute(EXPIRE)
    await publish(database, handlers, *(Plain() for _ in range(5)))
    await drain_queue(database, handlers, settings)
    assert (len(claimed), most, await states(database)) == (3, 1, [])


async def test_a_renewal_that_comes_late_does_not_touch_a_job_that_was_put_back(database: Database) -> None:
    await publish(database, HANDLERS, Plain())
    queue = queue_of(database)
    [claimed] = await queue.claim(1, [])
    await queue.release(claimed, timedelta(hours=1))
    await queue.maintain([claimed])
    assert await database.fetchval("SELECT run_at > now() + interval '59 min' FROM chassis_jobs")


async def test_an_end_that_is_repeated_since_its_answer_was_lost_counts_once(database: Database) -> None:
    await publish(database, HANDLERS, Plain())
    queue = queue_of(database)
    [first] = await queue.claim(1, [])
    for _ in range(2):
        await queue.release(first, timedelta(0), Failure(1, "Error", "boom"))
    [second] = await queue.claim(1, [])
    for _ in range(2):
        await queue.release(second, timedelta(0))
    [third] = await queue.claim(1, [])
    for _ in range(2):
        await queue.dead_letter(third, Failure(2, "Error", "boom"))
    row = await database.fetchrow("SELECT attempt, jsonb_array_length(errors) FROM chassis_jobs")
    assert tuple(row or ()) == (2, 2)


async def test_a_job_that_does_not_come_to_run_alone_is_put_off_and_holds_up_no_other(
    database: Database, settings: Settings
) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    done: list[UUID] = []

    async def work(task: Plain, _transaction: Transaction) -> None:
        if task.id == long.id:
            begun.set()
            await release.wait()
        done.append(task.id)

    handlers = [handle(Plain, work)]
    long, suspect, other = Plain(), Plain(), Plain()
    stop = asyncio.Event()
    short = settings.model_copy(update={"worker_lease": 0.5})
    working = asyncio.create_task(Worker(database, handlers, short, stop).run())
    await publish(database, handlers, long)
    await begun.wait()
    async with Outbox(database, handlers).transaction() as transaction:
        await transaction.publish(suspect)
        await transaction.connection.execute("UPDATE chassis_jobs SET crashes = 3 WHERE message_id = $1", suspect.id)
    async with asyncio.timeout(20):
        while not await database.fetchval("SELECT claim FROM chassis_jobs WHERE message_id = $1", suspect.id):
            await asyncio.sleep(0.01)
    await publish(database, handlers, other)
    async with asyncio.timeout(20):
        while other.id not in done:
            await asyncio.sleep(0.01)
    release.set()
    stop.set()
    await working
    row = await database.fetchrow("SELECT attempt, crashes, run_at > now() + interval '10 s' FROM chassis_jobs")
    assert done == [other.id, long.id] or suspect.id in done
    assert row is None or tuple(row) == (0, 3, True)


async def test_a_job_whose_workers_died_three_times_runs_alone(database: Database, settings: Settings) -> None:
    running: set[UUID] = set()
    beside: dict[UUID, int] = {}
    flags: list[bool] = []

    async def work(task: Plain, _transaction: Transaction) -> None:
        running.add(task.id)
        beside[task.id] = len(running) - 1
        if task.id == suspect.id:
            flags.append(await database.fetchval("SELECT is_alone FROM chassis_jobs WHERE crashes > 2"))
        await asyncio.sleep(0.05)
        beside[task.id] = max(beside[task.id], len(running) - 1)
        running.discard(task.id)

    handlers = [handle(Plain, work)]
    suspect = Plain()
    await publish(database, handlers, suspect, *(Plain() for _ in range(6)))
    await database.execute(
        "UPDATE chassis_jobs SET worker = gen_random_uuid(), crashes = 2, run_at = now() - interval '1 minute' "
        "WHERE message_id = $1",
        suspect.id,
    )
    await drain_queue(database, handlers, settings.model_copy(update={"worker_concurrency": 4}))
    assert (beside[suspect.id], flags) == (0, [True])
    assert max(beside.values()) > 0


async def end(how: str) -> None:
    """End an attempt in one of the ways there are."""
    if how == "fails":
        raise RuntimeError
    if how == "is interrupted":
        await asyncio.sleep(20)


@pytest.mark.parametrize("how", ["comes to its end", "fails", "is interrupted"])
@pytest.mark.parametrize("without_transaction", [False, True], ids=["in a transaction", "without one"])
async def test_a_worker_that_was_silent_too_long_changes_nothing(
    database: Database, settings: Settings, *, without_transaction: bool, how: str
) -> None:
    """While it runs, the job is given to another; then the attempt writes, and ends."""
    stop, ended = asyncio.Event(), asyncio.Event()

    async def inside(_taken: NoteTaken, transaction: Transaction) -> None:
        await database.execute(STEAL)
        await transaction.connection.execute(WRITE, uuid4())
        ended.set()
        await end(how)

    async def beside(_taken: NoteTaken, job: Job) -> None:
        await database.execute(STEAL)
        ended.set()
        await end(how)
        async with job.transaction() as transaction:
            await transaction.connection.execute(WRITE, uuid4())

    handlers = [handle_without_transaction(NoteTaken, beside) if without_transaction else handle(NoteTaken, inside)]
    await publish(database, handlers, NoteTaken(note_id=uuid4()))
    hurried = settings.model_copy(update={"shutdown_timeout": 0.5})
    with capture_logs() as logs:
        working = asyncio.create_task(Worker(database, handlers, hurried, stop).run())
        await ended.wait()
        stop.set()
        await working
    assert await states(database) == [("running", 1)]
    assert await database.fetchval("SELECT count(*) FROM notes") == 0
    assert "job done" not in [entry["event"] for entry in logs]


async def test_a_handler_that_only_called_others_is_not_called_done_when_its_claim_was_lost(
    database: Database, settings: Settings
) -> None:
    async def call(_task: Plain, _job: Job) -> None:
        await database.execute(STEAL)

    handlers = [handle_without_transaction(Plain, call)]
    await publish(database, handlers, Plain())
    stop = asyncio.Event()
    with capture_logs() as logs:
        working = asyncio.create_task(Worker(database, handlers, settings, stop).run())
        async with asyncio.timeout(20):
            while not [entry for entry in logs if entry.get("job")]:
                await asyncio.sleep(0.01)
        stop.set()
        await working
    assert [entry["event"] for entry in logs if entry.get("job")] == ["job claim lost"]
    assert await states(database) == [("running", 1)]


async def test_the_end_of_a_lost_attempt_is_not_that_of_the_next_one(database: Database) -> None:
    """It came late, as when the database was unavailable, and the worker has the job again."""
    await publish(database, HANDLERS, Plain())
    queue = queue_of(database)
    [first] = await queue.claim(1, [])
    await database.execute(EXPIRE)
    assert len(await queue.claim(1, [])) == 1
    again = await database.fetch("SELECT * FROM chassis_jobs")
    assert await queue.complete_all([first]) == set()
    await queue.dead_letter(first, FAILURE)
    await queue.release(first, timedelta(0), FAILURE)
    await queue.release(first, timedelta(0))
    await queue.set_alone(first, is_alone=False)
    with pytest.raises(ClaimLost):
        await queue.complete(first)
    assert await database.fetch("SELECT * FROM chassis_jobs") == again
    async with database.transaction() as connection:
        with pytest.raises(ClaimLost):
            await check_claim(connection, first)


async def test_a_worker_renews_its_own_leases_only(database: Database) -> None:
    await publish(database, HANDLERS, Plain(), Plain())
    ours, others = queue_of(database), queue_of(database)
    mine, lost = await ours.claim(2, [])
    await database.execute(EXPIRE)
    [other] = await others.claim(1, [])
    mine, lost = (mine, lost) if other.id == lost.id else (lost, mine)
    taken = await database.fetchval("SELECT run_at FROM chassis_jobs WHERE id = $1", lost.id)
    await ours.maintain([mine, lost])
    leases = await leases_of(database)
    assert leases[lost.id] == taken
    assert leases[mine.id] > taken


async def test_a_renewal_does_not_wait_for_a_job_that_is_at_its_end(database: Database) -> None:
    await publish(database, HANDLERS, Plain(), Plain())
    queue = queue_of(database)
    ending, other = await queue.claim(2, [])
    before = await leases_of(database)
    async with database.transaction() as connection:
        await check_claim(connection, ending)
        await queue.maintain([ending, other])
    after = await leases_of(database)
    assert (after[ending.id] == before[ending.id], after[other.id] > before[other.id]) == (True, True)


@pytest.mark.parametrize("limit", [0, 2], ids=["without a limit", "with a limit"])
async def test_claims_whose_answer_was_cut_off_do_not_use_up_their_worker(database: Database, limit: int) -> None:
    kind = Limited if limit else Plain
    handlers = [handle(kind, run)]
    await publish(database, handlers, kind(), kind())
    queue = Queue(database, {handlers[0].name: limit}, LEASE)
    assert len(await queue.claim(2, [])) == 2
    assert await queue.claim(2, []) == []
    await database.execute(EXPIRE)
    again = [job for _ in range(3) for job in await queue.claim(2, [])]
    assert [job.attempt for job in again] == [1, 1]


async def test_a_job_that_still_runs_is_not_claimed_again_by_its_own_worker(database: Database) -> None:
    await publish(database, HANDLERS, Plain())
    queue = queue_of(database)
    [claimed] = await queue.claim(1, [])
    await database.execute(EXPIRE)
    assert await queue.claim(1, [claimed.id]) == []
    assert len(await queue_of(database).claim(1, [])) == 1


async def test_a_job_that_cannot_be_put_back_at_the_end_waits_for_its_lease(settings: Settings) -> None:
    away = Settings.model_validate(settings.model_dump() | {"database_url": "postgresql://postgres@127.0.0.1:1/none"})
    claimed = Claimed(1, 1, PLAIN, uuid4(), 1, b"{}", 0, 1, 0, False, None, "", "", None, 0)  # noqa: FBT003  # as a row
    interrupted = asyncio.Event()
    interrupted.set()
    with capture_logs() as logs:
        async with open_database(away) as database:
            await Ends(queue_of(database), interrupted).release(claimed, timedelta(0))
    assert [(entry["event"], entry["job"]) for entry in logs] == [
        ("job keeps its lease, database unavailable", PLAIN),
    ]


@pytest.mark.parametrize("how", ["completed", "released", "dead-lettered"])
async def test_an_end_waits_while_the_database_is_unavailable(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Or the job would run again, though nothing of it is left to do."""
    monkeypatch.setattr(_ends, "AWAY_SECONDS", 0.01)
    await publish(database, HANDLERS, Plain())
    hurried = settings.model_copy(update={"database_statement_timeout": 0.1})
    async with open_database(hurried) as impatient:
        queue = queue_of(impatient)
        [claimed] = await queue.claim(1, [])
        ends = Ends(queue, asyncio.Event())
        end: Callable[[], Coroutine[Any, Any, None]] = {
            "completed": lambda: ends.complete(claimed),
            "released": lambda: ends.release(claimed, timedelta(0), FAILURE),
            "dead-lettered": lambda: ends.dead_letter(claimed, FAILURE),
        }[how]
        async with database.transaction() as connection:
            await connection.execute("LOCK TABLE chassis_jobs")
            ending = asyncio.create_task(end())
            await asyncio.sleep(0.5)
            assert not ending.done()
        await ending
    left = {"completed": [], "released": [("queued", 1)], "dead-lettered": [("dead", 1)]}
    assert await states(database) == left[how]


LIMITED = handle(Limited, run)


async def test_a_limit_holds_for_all_workers_and_for_leases_that_have_ended(database: Database) -> None:
    await publish(database, [LIMITED], *(Limited() for _ in range(6)))
    queues = [Queue(database, {LIMITED.name: 2}, LEASE) for _ in range(4)]
    claimed = [job for jobs in await asyncio.gather(*(queue.claim(5, []) for queue in queues)) for job in jobs]
    assert len(claimed) == 2
    await database.execute(EXPIRE)
    again = [job for jobs in await asyncio.gather(*(queue.claim(5, []) for queue in queues)) for job in jobs]
    assert {job.id for job in again} <= {job.id for job in claimed}
    await queues[0].complete_all(claimed + again)
    assert len(await queues[0].claim(5, [])) == 2


async def test_a_claim_that_does_not_see_another_of_its_handler_claims_nothing(database: Database) -> None:
    """Its snapshot is older than the commit of the other claim, so that it would count too few."""
    await publish(database, [LIMITED], *(Limited() for _ in range(6)))
    queue, other = (Queue(database, {LIMITED.name: 2}, LEASE) for _ in range(2))
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO chassis_job_limits VALUES ($1, pg_current_xact_id())", LIMITED.name)
        waiting = asyncio.create_task(queue.claim(5, []))
        async with asyncio.timeout(20):
            while not await database.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
    assert await waiting == []
    assert len(await other.claim(5, [])) == 2


@pytest.mark.parametrize("had", [0, 2], ids=["got its limit", "lost its limit"])
async def test_jobs_of_a_handler_that_got_or_lost_its_limit_are_claimed(database: Database, had: int) -> None:
    class Changed(Task):
        delivery = Delivery(concurrency=had)

    handler = handle(Changed, run)
    await publish(database, [handler], *(Changed() for _ in range(3)))
    queue = Queue(database, {handler.name: 2 - had}, LEASE)
    assert await queue.claim(5, []) == []
    await queue.next_due(0)
    assert len(await queue.claim(5, [])) == (3 if had else 2)


async def test_a_job_of_a_transaction_that_took_long_to_commit_is_found(database: Database) -> None:
    """Its time is the begin of its transaction, before the mark at which claims begin to look."""
    queue = queue_of(database)
    await publish(database, HANDLERS, Plain())
    await database.execute("UPDATE chassis_jobs SET run_at = now() + interval '1 hour'")
    await queue.maintain([])
    await database.execute("UPDATE chassis_jobs SET run_at = now() - interval '1 minute'")
    assert await queue.claim(1, []) == []
    await queue.maintain([])
    assert len(await queue.claim(1, [])) == 1


async def test_a_dead_letter_frees_its_key(database: Database) -> None:
    outbox = Outbox(database, HANDLERS)
    async with outbox.transaction() as transaction:
        assert await transaction.enqueue(Plain(), key="it")
    queue = queue_of(database)
    [claimed] = await queue.claim(1, [])
    await queue.dead_letter(claimed, FAILURE)
    async with outbox.transaction() as transaction:
        assert await transaction.enqueue(Plain(), key="it")
        assert not await transaction.enqueue(Plain(), key="it")
    assert sorted(await states(database)) == [("dead", 1), ("queued", 0)]
