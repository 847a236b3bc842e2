"""What the metrics say of the queue is read from the database, at a cost that is bounded whatever the backlog."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chassis.data import Connection, Database, open_database
from chassis.errors import Unavailable
from chassis.jobs import Message, Outbox, Snooze, Task, Transaction, cron, handle
from chassis.jobs._dead_letters import Selection, retry
from chassis.jobs._gauges import ALONG_INDEXES, JOBS, MAX_COUNTED, read_gauges
from chassis.jobs._queue import Failure, Queue
from chassis.settings import Settings

from tests.faults.scale import pick
from tests.jobs.conftest import Workers, until
from tests.jobs.test_flat_claims import connected

MANY = pick(short=100_000, full=1_000_000)
FILL = """
    INSERT INTO chassis_jobs (
        handler, message_id, version, payload, priority, is_limited, is_waiting, due_at, run_at, dead_at,
        request_id, traceparent
    )
    SELECT 'notes.' || number % 2, gen_random_uuid(), 1, '{}', 0, false, false, now(), now(), NULL::timestamptz, '', ''
    FROM generate_series(1, $1) AS number
"""
DEAD = FILL.replace("NULL::timestamptz", "now()")
DUE = "UPDATE chassis_jobs SET due_at = due_at - $1::interval, run_at = run_at - $1::interval"
EXPIRE = "UPDATE chassis_jobs SET run_at = now() - interval '5 minutes' WHERE worker IS NOT NULL"
FAILURE = Failure(1, "RuntimeError", "boom")
HOUR = timedelta(hours=1)
# Jobs of other handlers, each of which is looked up several times.
FEW = 1_000


class Call(Task):
    """A task that waits."""


class Ordered(Task):
    @property
    def ordering_key(self) -> str:
        return "one"


async def call(_task: Call, _transaction: Transaction) -> None:
    """Do nothing."""


async def follow(_task: Ordered, _transaction: Transaction) -> None:
    """Do nothing."""


HANDLERS = [handle(Call, call), handle(Ordered, follow)]
CALL, FOLLOW = (handler.name for handler in HANDLERS)
NAMES = ("jobs_waiting", "jobs_running", "jobs_oldest_age_seconds", "jobs_dead_letters")


def gauges(job: str) -> Mapping[str, float | None]:
    return {name: REGISTRY.get_sample_value(name, {"job": job}) for name in NAMES}


def names() -> set[str]:
    """Name the jobs that have a series."""
    families = [family for family in REGISTRY.collect() if family.name in NAMES]
    return {sample.labels["job"] for family in families for sample in family.samples}


async def queue(database: Database, *messages: Message, delay: timedelta = timedelta(0)) -> None:
    async with Outbox(database, HANDLERS).transaction() as transaction:
        for message in messages:
            assert isinstance(message, Task)
            await transaction.enqueue(message, delay=delay)


def queue_of(database: Database) -> Queue:
    return Queue(database, {CALL: 0, FOLLOW: 0}, 10.0)


async def read(database: Database) -> None:
    await read_gauges(database, [CALL, FOLLOW], [])


async def test_the_jobs_of_each_handler_are_counted_by_their_state(database: Database) -> None:
    await queue(database, *(Call() for _ in range(4)))
    dead, _running = await queue_of(database).claim(2, [])
    await queue_of(database).dead_letter(dead, FAILURE)
    await database.execute(DUE, HOUR)
    await queue(database, Call(), delay=HOUR)
    await read(database)
    found = dict(gauges(CALL))
    age = found.pop("jobs_oldest_age_seconds")
    assert found == {"jobs_waiting": 2, "jobs_running": 1, "jobs_dead_letters": 1}
    assert age is not None
    assert HOUR.total_seconds() <= age < HOUR.total_seconds() + 60
    assert set(gauges(FOLLOW).values()) == {0}


async def test_a_job_that_waits_for_another_of_its_key_is_counted(database: Database) -> None:
    await queue(database, Ordered(), Ordered())
    await queue_of(database).claim(2, [])
    await read(database)
    assert (gauges(FOLLOW)["jobs_waiting"], gauges(FOLLOW)["jobs_running"]) == (1, 1)


async def test_jobs_of_handlers_with_a_limit_are_counted(database: Database) -> None:
    for fill in (
        FILL,
        FILL.replace("'{}', 0,", "'{}', 1,"),
        FILL.replace("now(), now(), NULL", "now(), now() + '1 day', NULL"),
    ):
        await database.execute(fill.replace("false, false,", "true, false,"), 2)
    await read(database)
    assert [gauges(name)["jobs_waiting"] for name in ("notes.0", "notes.1")] == [2, 2]


async def test_a_handler_of_another_release_is_shown_while_it_has_jobs(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(FILL, 1)
        await connection.execute(DEAD, 2)
        await read(database)
        assert names() == {CALL, FOLLOW, "notes.0", "notes.1"}
        assert gauges("notes.0")["jobs_dead_letters"] == 1
        await connection.execute("DELETE FROM chassis_jobs")
    await read(database)
    assert names() == {CALL, FOLLOW}


async def test_the_lag_of_a_schedule_is_how_long_it_has_been_due(database: Database) -> None:
    schedule = cron("*/5 * * * *", Call).name
    for name, due in ((schedule, "now() - interval '1 hour'"), ("notes.Future", "now() + interval '1 hour'")):
        await database.execute(f"INSERT INTO chassis_schedules VALUES ($1, '', {due})", name)  # noqa: S608
    await database.execute("INSERT INTO chassis_schedules VALUES ('notes.Gone', '', now() - interval '1 day')")

    def lag(name: str) -> float | None:
        return REGISTRY.get_sample_value("schedule_lag_seconds", {"schedule": name})

    await read_gauges(database, [], [schedule, "notes.Future"])
    assert (lag(schedule) or 0) >= HOUR.total_seconds()
    assert (lag("notes.Future"), lag("notes.Gone")) == (0, None)
    await read_gauges(database, [], ["notes.Future"])
    assert lag(schedule) is None


async def test_without_the_database_nothing_is_said(database: Database, settings: Settings) -> None:
    await read(database)
    assert names() == {CALL, FOLLOW}
    url = "postgresql://postgres@127.0.0.1:1/none"
    async with open_database(settings.model_copy(update={"database_url": url})) as away:
        with pytest.raises(Unavailable):
            await read(away)
    assert names() == set()


async def test_a_worker_reads_them_by_itself(database: Database, workers: Workers) -> None:
    await read_gauges(database, [], [])
    assert names() == set()
    await queue(database, Call(), delay=HOUR)

    async def is_read() -> bool:
        return names() == {CALL}

    async with workers.running(HANDLERS[:1]):
        await until(is_read)


def waited(le: str) -> float:
    return REGISTRY.get_sample_value("job_wait_seconds_bucket", {"job": CALL, "le": le}) or 0


async def test_a_wait_is_counted_from_when_the_job_was_due(database: Database) -> None:
    await queue(database, Call(), Call())
    await database.execute(DUE, HOUR)
    first, second = await queue_of(database).claim(2, [])
    assert first.waited >= HOUR.total_seconds()

    await queue_of(database).release(first, timedelta(0), FAILURE)
    await database.execute(EXPIRE)
    for job in await queue_of(database).claim(2, []):
        expected = 5 * 60 if job.id == second.id else 0
        assert expected <= job.waited < expected + 60


async def test_a_dead_letter_that_is_retried_is_due_from_then(database: Database) -> None:
    await queue(database, Call())
    [job] = await queue_of(database).claim(1, [])
    await queue_of(database).dead_letter(job, FAILURE)
    await database.execute(DUE, HOUR)
    async with database.transaction() as connection:
        await retry(connection, Selection())
    await read(database)
    assert (gauges(CALL)["jobs_oldest_age_seconds"] or 0) < 60


async def test_a_wait_after_a_back_off_and_a_snooze_is_counted_from_its_end(
    database: Database, workers: Workers
) -> None:
    attempts: list[int] = []

    async def fail_first(_task: Call, _transaction: Transaction) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("boom")
        if len(attempts) == 2:
            raise Snooze(timedelta(0), "not now")

    failing = handle(Call, fail_first, name=CALL)
    earlier = waited("30.0"), waited("+Inf")
    await workers.queue([failing], Call())
    await database.execute(DUE, HOUR)

    async def is_done() -> bool:
        return waited("+Inf") == earlier[1] + 3

    async with workers.running([failing]):
        await until(is_done)
    assert waited("30.0") == earlier[0] + 2


async def rows_read(connection: Connection) -> float:
    """Read the gauges of a backlog of one handler that came after the last ANALYZE; return the rows that were read."""
    await connection.execute(FILL.replace("number % 2", "number"), 100)
    await connection.execute("ANALYZE chassis_jobs")
    await connection.execute(FILL.replace("number % 2", "0"), MANY)
    await connection.execute(DEAD.replace("number % 2", "0"), MANY)
    [row] = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {JOBS}", [])
    nodes = [*nodes_of(json.loads(row[0])[0]["Plan"])]
    return float(sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes if node.get("Relation Name")))


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for node in plan.get("Plans", []):
        yield from nodes_of(node)


async def test_of_a_backlog_no_more_is_read_than_is_counted(settings: Settings) -> None:
    async with connected(settings) as connection:
        await connection.execute(ALONG_INDEXES.replace("LOCAL ", ""))
        assert await rows_read(connection) < 2 * MAX_COUNTED + FEW
        jobs = await connection.fetch(JOBS, [])
    assert sum(job["waiting"] for job in jobs) == MAX_COUNTED
    assert max(job["dead_letters"] for job in jobs) == MAX_COUNTED


async def test_a_plan_that_reads_all_of_it_would_be_found(settings: Settings) -> None:
    async with connected(settings) as connection:
        await connection.execute("SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_seqscan = off")
        assert await rows_read(connection) > MANY
