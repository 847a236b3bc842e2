"""Jobs of one ordering key run one after the other, whoever queues them and however they end."""

import asyncio
from datetime import timedelta
from typing import override

import pytest

from chassis.data import Database
from chassis.jobs import Outbox, Task, Transaction, handle
from chassis.jobs import _dead_letters as dead_letters
from chassis.jobs._dead_letters import Selection
from chassis.jobs._queue import Claimed, Failure, Queue
from chassis.jobs._retention import dead_letter_unknown
from chassis.settings import Settings
from chassis.testing import drain_queue


class Step(Task):
    of: str
    number: int = 0

    @property
    @override
    def ordering_key(self) -> str:
        return self.of


async def step(_task: Step, _transaction: Transaction) -> None:
    """Do nothing."""


HANDLERS = [handle(Step, step)]
NAME = HANDLERS[0].name
FAILURE = Failure(1, "RuntimeError", "boom")


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database, {NAME: 0}, 10)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, HANDLERS)


async def publish(outbox: Outbox, *tasks: Step) -> None:
    async with outbox.transaction() as transaction:
        await transaction.publish(*tasks)


async def claim(queue: Queue) -> list[int]:
    """Claim what can be claimed, and return the numbers of the steps."""
    return [number_of(job) for job in await queue.claim(10, [])]


def number_of(job: Claimed) -> int:
    return Step.model_validate_json(job.payload).number


@pytest.mark.parametrize("how", ["completed", "dead-lettered", "unknown"])
async def test_the_next_one_can_be_claimed_when_the_one_before_has_ended(
    outbox: Outbox, queue: Queue, database: Database, how: str
) -> None:
    await publish(outbox, *(Step(of="bread", number=number) for number in (1, 2, 3)))
    [first] = await queue.claim(10, [])
    assert await claim(queue) == []
    match how:
        case "completed":
            await queue.complete(first)
        case "dead-lettered":
            await queue.dead_letter(first, FAILURE)
        case _:
            await database.execute("UPDATE chassis_jobs SET handler = 'other', run_at = now() - interval '1 day'")
            await database.execute("UPDATE chassis_jobs SET run_at = now() WHERE is_waiting")
            assert await dead_letter_unknown(database, [NAME], timedelta(hours=1)) == ["other"]
            await database.execute("UPDATE chassis_jobs SET handler = $1 WHERE dead_at IS NULL", NAME)
    assert await claim(queue) == [2]


async def test_one_that_waits_for_its_next_attempt_is_waited_for(outbox: Outbox, queue: Queue) -> None:
    await publish(outbox, *(Step(of="bread", number=number) for number in (1, 2)))
    [first] = await queue.claim(10, [])
    await queue.release(first, timedelta(hours=1), FAILURE)
    assert await claim(queue) == []
    await publish(outbox, Step(of="bread", number=3), Step(of="tea", number=4))
    assert await claim(queue) == [4]


async def test_a_retried_dead_letter_waits_for_the_one_that_runs_and_comes_before_later_ones(
    outbox: Outbox, queue: Queue, database: Database
) -> None:
    await publish(outbox, *(Step(of="bread", number=number) for number in (1, 2, 3)))
    [first] = await queue.claim(10, [])
    await queue.dead_letter(first, FAILURE)
    [second] = await queue.claim(10, [])
    async with database.transaction() as connection:
        assert len(await dead_letters.retry(connection, Selection())) == 1
    assert await claim(queue) == []
    await queue.complete(second)
    assert await claim(queue) == [1]


async def test_a_job_that_has_waited_long_is_within_the_marks_of_a_claim(
    outbox: Outbox, queue: Queue, database: Database
) -> None:
    await publish(outbox, *(Step(of="bread", number=number) for number in (1, 2)))
    await database.execute("UPDATE chassis_jobs SET run_at = now() - interval '1 hour'")
    [first] = await queue.claim(10, [])
    await queue.maintain([])
    await queue.complete(first)
    assert await claim(queue) == [2]


async def test_a_message_that_is_there_already_does_not_hold_up_its_key(
    outbox: Outbox, queue: Queue, database: Database
) -> None:
    first = Step(of="bread", number=1)
    await publish(outbox, first)
    [claimed] = await queue.claim(10, [])
    await queue.dead_letter(claimed, FAILURE)
    await publish(outbox, first, Step(of="bread", number=2))
    assert await database.fetchval("SELECT count(*) FROM chassis_jobs") == 2
    assert await claim(queue) == [2]


async def test_concurrent_transactions_leave_one_head_and_no_deadlock(
    outbox: Outbox, database: Database, settings: Settings
) -> None:
    """They queue the same keys in different orders, while workers end jobs of these keys."""
    running, done = set[str](), list[str]()

    async def work(task: Step, _transaction: Transaction) -> None:
        assert task.of not in running
        running.add(task.of)
        await asyncio.sleep(0)
        running.discard(task.of)
        done.append(task.of)

    handlers = [handle(Step, work)]
    outbox = Outbox(database, handlers)

    async def publish_both(number: int) -> None:
        keys = ("bread", "tea") if number % 2 else ("tea", "bread")
        await publish(outbox, *(Step(of=key) for key in keys))

    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(publish_both(number))
        await asyncio.sleep(0.01)
        group.create_task(drain_queue(database, handlers, settings))
    await drain_queue(database, handlers, settings)
    assert sorted(done) == ["bread"] * 30 + ["tea"] * 30
