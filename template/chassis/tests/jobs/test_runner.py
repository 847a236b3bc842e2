"""What a message says of its jobs is kept: versions, order, deadlines, limits, delays, keys and priorities."""

import asyncio
import json
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, override
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from chassis.data import Database, open_database
from chassis.jobs import Delivery, Handler, Job, Outbox, Task, Transaction, handle, handle_without_transaction
from chassis.settings import Settings
from chassis.testing import drain_queue

from tests.jobs.conftest import states

WRITE = "INSERT INTO notes (id, owner, text) VALUES ($1, 'nobody', 'ours')"


class Step(Task):
    """A part of something that has to be done in order."""

    delivery = Delivery(max_attempts=1)
    of: str
    number: int

    @property
    @override
    def ordering_key(self) -> str:
        return self.of


class Slow(Task):
    delivery = Delivery(max_attempts=1, deadline=timedelta(seconds=0.05))


class Alone(Task):
    delivery = Delivery(concurrency=1)


class Urgent(Task):
    delivery = Delivery(priority=1)


class Plain(Task):
    pass


class Greet(Task):
    """Once it had a `name`."""

    delivery = Delivery(version=2)
    first_name: str

    @classmethod
    @override
    def upgrade(cls, payload: dict[str, Any], version: int) -> dict[str, Any]:
        return payload | {"first_name": payload["name"].split()[0]}


async def queue(database: Database, handlers: Sequence[Handler], *tasks: Task) -> None:
    async with Outbox(database, handlers).transaction() as transaction:
        await transaction.publish(*tasks)


async def statuses(database: Database) -> list[str]:
    return [status for status, _ in await states(database)]


async def test_jobs_of_one_key_run_in_order_and_those_of_another_beside_them(
    database: Database, settings: Settings
) -> None:
    done: list[tuple[str, int]] = []
    running: set[str] = set()

    async def step(task: Step, _transaction: Transaction) -> None:
        assert task.of not in running
        running.add(task.of)
        await asyncio.sleep(0.03 if task.number == 1 else 0)
        done.append((task.of, task.number))
        running.discard(task.of)
        if (task.of, task.number) == ("bread", 2):
            raise RuntimeError

    handlers = [handle(Step, step)]
    await queue(database, handlers, *(Step(of=of, number=number) for number in (1, 2, 3) for of in ("bread", "tea")))
    await drain_queue(database, handlers, settings)
    assert [number for of, number in done if of == "bread"] == [1, 2, 3]
    assert [number for of, number in done if of == "tea"] == [1, 2, 3]
    assert await statuses(database) == ["dead"]


async def test_a_run_ends_at_its_deadline_and_leaves_nothing(database: Database, settings: Settings) -> None:
    async def slow(_task: Slow, transaction: Transaction) -> None:
        await transaction.connection.execute(WRITE, uuid4())
        await asyncio.sleep(20)

    handlers = [handle(Slow, slow)]
    await queue(database, handlers, Slow())
    await drain_queue(database, handlers, settings)
    assert await statuses(database) == ["dead"]
    assert await database.fetchval("SELECT count(*) FROM notes") == 0


async def test_no_more_jobs_of_a_handler_run_at_once_than_its_limit(database: Database, settings: Settings) -> None:
    running, most = 0, 0

    async def alone(_task: Alone, _transaction: Transaction) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    handlers = [handle(Alone, alone)]
    await queue(database, handlers, *(Alone() for _ in range(5)))
    await asyncio.gather(*(drain_queue(database, handlers, settings) for _ in range(2)))
    assert most == 1


async def test_the_urgent_goes_first(database: Database, settings: Settings) -> None:
    done: list[type[Task]] = []

    async def plain(task: Plain, _transaction: Transaction) -> None:
        done.append(type(task))

    async def urgent(task: Urgent, _transaction: Transaction) -> None:
        done.append(type(task))

    handlers = [handle(Plain, plain), handle(Urgent, urgent)]
    await queue(database, handlers, Plain(), Plain(), Plain(), Urgent())
    await drain_queue(database, handlers, settings.model_copy(update={"worker_concurrency": 2}))
    assert done.index(Urgent) < 2


async def greeted(database: Database, settings: Settings, payload: str, version: int) -> list[str]:
    """Run a job with this payload, and give whom it greeted."""
    names: list[str] = []

    async def greet(task: Greet, _transaction: Transaction) -> None:
        names.append(task.first_name)

    handlers = [handle(Greet, greet)]
    await queue(database, handlers, Greet(first_name=""))
    await database.execute("UPDATE chassis_jobs SET payload = $1, version = $2", payload.encode(), version)
    await drain_queue(database, handlers, settings)
    return names


async def test_an_earlier_version_is_brought_to_the_present_one(database: Database, settings: Settings) -> None:
    payload = json.dumps({"name": "Ada Lovelace"})
    assert await greeted(database, settings, payload, 1) == ["Ada"]


async def test_a_later_version_is_left_to_newer_workers_while_there_are_runs(
    database: Database, settings: Settings
) -> None:
    assert await greeted(database, settings, "{}", 3) == []
    assert await database.fetchval("SELECT attempt FROM chassis_jobs") == settings.worker_max_attempts
    assert await statuses(database) == ["dead"]


async def test_what_cannot_be_read_is_dead_lettered_at_once(database: Database, settings: Settings) -> None:
    for payload, version in (("no json", 2), ("{}", 2), ("{}", 1), ("[]", 1)):
        assert await greeted(database, settings, payload, version) == []
        assert await database.fetchval("DELETE FROM chassis_jobs RETURNING attempt") == 1


async def test_a_delay_is_waited_for(database: Database) -> None:
    async def plain(_task: Plain, _transaction: Transaction) -> None:
        """Wait for nothing."""

    async with Outbox(database, [handle(Plain, plain)]).transaction() as transaction:
        assert await transaction.enqueue(Plain(), delay=timedelta(hours=1))
    waits: timedelta = await database.fetchval("SELECT run_at - now() FROM chassis_jobs")
    assert timedelta(minutes=59) < waits <= timedelta(hours=1)


async def test_of_one_key_there_is_one_job_and_the_transaction_goes_on(database: Database, settings: Settings) -> None:
    async def plain(_task: Plain, _transaction: Transaction) -> None:
        """Wait for nothing."""

    handlers = [handle(Plain, plain)]
    outbox = Outbox(database, handlers)
    async with outbox.transaction() as transaction:
        assert await transaction.enqueue(Plain(), key="a")
        assert not await transaction.enqueue(Plain(), key="a")
        assert await transaction.enqueue(Plain(), key="b")
    assert len(await statuses(database)) == 2
    await drain_queue(database, handlers, settings)
    async with outbox.transaction() as transaction:
        assert await transaction.enqueue(Plain(), key="a")


IDLE = """
    SELECT pid, xact_start FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
"""


async def transactions_open_for(database: Database, seconds: float) -> int:
    """Count those that stay open; the worker's own come and go."""
    before = await database.fetch(IDLE)
    await asyncio.sleep(seconds)
    return len(set(before) & set(await database.fetch(IDLE)))


async def test_a_handler_that_calls_others_has_no_transaction_open_and_may_open_some(
    database: Database, settings: Settings
) -> None:
    open_ones: list[int] = []

    async def call(_task: Plain, job: Job) -> None:
        open_ones.append(await transactions_open_for(database, seconds=0.5))
        for part in range(2):
            async with job.transaction() as transaction:
                await transaction.connection.execute(WRITE, UUID(int=part))
        assert job.attempt == 1

    handlers = [handle_without_transaction(Plain, call)]
    await queue(database, handlers, Plain())
    await drain_queue(database, handlers, settings)
    assert open_ones == [0]
    assert await statuses(database) == []
    assert await database.fetchval("SELECT count(*) FROM notes") == 2


async def last_errors(database: Database) -> set[str]:
    return {row[0] for row in await database.fetch("SELECT errors -> -1 ->> 'type' FROM chassis_jobs")}


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), SystemExit(1), KeyboardInterrupt(), BaseExceptionGroup("", [SystemExit()])]
)
@pytest.mark.parametrize("without_transaction", [False, True], ids=["in a transaction", "without one"])
async def test_whatever_a_handler_raises_is_a_failed_attempt_of_its_job_alone(
    database: Database, settings: Settings, error: BaseException, *, without_transaction: bool
) -> None:
    done: list[UUID] = []

    async def fail(_task: Alone, _with: object) -> None:
        raise error

    async def plain(task: Plain, _transaction: Transaction) -> None:
        done.append(task.id)

    failing = handle_without_transaction(Alone, fail) if without_transaction else handle(Alone, fail)
    handlers = [failing, handle(Plain, plain)]
    await queue(database, handlers, Alone(), *(Plain() for _ in range(5)))
    await drain_queue(database, handlers, settings.model_copy(update={"worker_max_attempts": 1}))
    assert len(done) == 5
    assert await states(database) == [("dead", 1)]
    assert await last_errors(database) == {type(error).__name__}


async def test_a_handler_that_cancels_itself_is_not_put_back_uncounted(database: Database, settings: Settings) -> None:
    async def cancel(_task: Plain, _transaction: Transaction) -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(1)

    handlers = [handle(Plain, cancel)]
    await queue(database, handlers, Plain())
    await drain_queue(database, handlers, settings.model_copy(update={"worker_max_attempts": 1}))
    assert await states(database) == [("dead", 1)]


async def test_a_handler_that_blocks_its_process_past_its_lease_is_done_once(
    database: Database, settings: Settings
) -> None:
    """No renewal comes through meanwhile, and another worker runs the job."""
    handlers = [handle(Plain, block)]
    await queue(database, handlers, Plain())
    lease = settings.model_copy(update={"worker_lease": 0.2})
    with capture_logs() as logs:
        blocked = asyncio.create_task(asyncio.to_thread(asyncio.run, drain_alone(handlers, lease)))
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while not await database.fetchval(
                "SELECT count(*) FROM chassis_jobs WHERE worker IS NOT NULL AND run_at < now()"
            ):
                await asyncio.sleep(0.01)
        await drain_queue(database, handlers, settings)
        release.set()
        await blocked
    assert await database.fetchval("SELECT count(*) FROM notes") == 1
    events = [entry["event"] for entry in logs if entry.get("job")]
    assert sorted(events) == ["job claim lost", "job done"]


release = threading.Event()
blocks = [True, False]


async def block(_task: Plain, transaction: Transaction) -> None:
    """Block at the first attempt, as code does that is not asynchronous."""
    await transaction.connection.execute(WRITE, uuid4())
    if blocks.pop(0):
        release.wait(20)


async def drain_alone(handlers: Sequence[Handler], settings: Settings) -> None:
    async with open_database(settings) as database:
        await drain_queue(database, handlers, settings)
