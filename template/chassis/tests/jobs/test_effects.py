"""Each job is done, its effect is there once, and a failure is kept as a dead letter."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from chassis.jobs import Outbox, Transaction, handle
from chassis.jobs import _dead_letters as dead_letters
from chassis.jobs._dead_letters import Selection

from tests.jobs.conftest import WRITE_EFFECT, Workers, WriteEffect, states, until, write_effect

MESSAGES = "SELECT errors -> -1 ->> 'type', errors -> -1 ->> 'message' FROM chassis_jobs WHERE dead_at IS NOT NULL"
ERRORS = "SELECT errors -> -1 ->> 'type' FROM chassis_jobs WHERE dead_at IS NOT NULL"


async def test_each_job_is_done_once_by_several_workers(workers: Workers) -> None:
    runs: Counter[UUID] = Counter()

    async def count(task: WriteEffect, transaction: Transaction) -> None:
        runs[task.id] += 1
        await write_effect(task, transaction)

    handlers = [handle(WriteEffect, count)]
    tasks = [WriteEffect() for _ in range(150)]
    async with workers.running(handlers), workers.running(handlers):
        await workers.queue(handlers, *tasks[:75])
        await workers.queue(handlers, *tasks[75:])
        await until(lambda: workers.has_effects(150))
    assert runs == dict.fromkeys([each.id for each in tasks], 1)
    assert await states(workers.database) == []


async def test_a_message_that_comes_twice_is_queued_once_as_long_as_its_job_is_there(workers: Workers) -> None:
    once = WriteEffect()
    await workers.queue([WRITE_EFFECT], once, once)
    await workers.queue([WRITE_EFFECT], once)
    async with workers.running([WRITE_EFFECT]):
        await until(lambda: workers.has_effects(1))
    assert await states(workers.database) == []
    await workers.queue([WRITE_EFFECT], once)
    assert await states(workers.database) == [("queued", 0)]


async def test_a_failure_is_tried_again_then_kept_and_can_be_replayed(workers: Workers) -> None:
    has_broken = True
    runs = 0

    async def fragile(task: WriteEffect, transaction: Transaction) -> None:
        nonlocal runs
        runs += 1
        await write_effect(task, transaction)
        if has_broken:
            raise RuntimeError

    handlers = [handle(WriteEffect, fragile)]
    await workers.queue(handlers, WriteEffect())
    async with workers.running(handlers):
        await until(lambda: has_dead_letter(workers))
        assert runs == workers.settings.worker_max_attempts
        assert await workers.database.fetchval(ERRORS) == "RuntimeError"
        assert await workers.has_effects(0)
        has_broken = False
        async with workers.database.transaction() as connection:
            assert len(await dead_letters.retry(connection, Selection())) == 1
        await until(lambda: workers.has_effects(1))


async def test_a_handler_that_was_renamed_runs_the_jobs_of_its_earlier_name(workers: Workers) -> None:
    async def write_it(task: WriteEffect, transaction: Transaction) -> None:
        await write_effect(task, transaction)

    await workers.queue([WRITE_EFFECT], WriteEffect())
    renamed = handle(WriteEffect, write_it, name=WRITE_EFFECT.name)
    async with workers.running([renamed]):
        await until(lambda: workers.has_effects(1))


@pytest.mark.parametrize("name", ["", "write", "jobs.write effect", "jobs.effects.write"])
def test_a_handler_has_a_name_of_two_parts(name: str) -> None:
    with pytest.raises(ValueError, match=r"the name of a handler is of the form `invoices\.send`, and not"):
        handle(WriteEffect, write_effect, name=name)


async def test_what_went_wrong_is_kept_whatever_its_characters(workers: Workers) -> None:
    async def fail(task: WriteEffect, transaction: Transaction) -> None:
        if task.text:
            raise ValueError(task.text)
        await write_effect(task, transaction)

    handlers = [handle(WriteEffect, fail)]
    await workers.queue(handlers, WriteEffect(text="\x00 and \\u0000"), *(WriteEffect() for _ in range(20)))
    async with workers.running(handlers):
        await until(lambda: has_dead_letter(workers))
        await until(lambda: workers.has_effects(20))
    [(error, message)] = await workers.database.fetch(MESSAGES)
    assert (error, message) == ("ValueError", "\ufffd and \\u0000")
    assert await states(workers.database) == [("dead", workers.settings.worker_max_attempts)]


async def has_dead_letter(workers: Workers) -> bool:
    return await workers.dead_letters() == 1


async def test_an_unreadable_payload_is_kept_without_a_second_run(workers: Workers) -> None:
    await workers.queue([WRITE_EFFECT], WriteEffect())
    await workers.database.execute("UPDATE chassis_jobs SET payload = 'no json'")
    async with workers.running([WRITE_EFFECT]):
        await until(lambda: has_dead_letter(workers))
    assert await states(workers.database) == [("dead", 1)]
    assert await workers.database.fetchval(ERRORS) == "Unreadable"


@pytest.mark.parametrize("grace", [0.3, 20.0], ids=["too short", "enough"])
async def test_at_the_end_a_job_is_finished_or_goes_back_without_the_loss_of_a_run(
    workers: Workers, grace: float
) -> None:
    began = asyncio.Event()

    async def slow(task: WriteEffect, transaction: Transaction) -> None:
        await write_effect(task, transaction)
        began.set()
        await asyncio.sleep(1)

    handlers = [handle(WriteEffect, slow)]
    await workers.queue(handlers, WriteEffect())
    async with workers.running(handlers, grace):
        await began.wait()
    is_enough = grace > 1
    assert await workers.has_effects(int(is_enough))
    assert await states(workers.database) == ([] if is_enough else [("queued", 0)])
    async with workers.running([handle(WriteEffect, slow)]):
        await until(lambda: workers.has_effects(1))


async def test_a_job_waits_for_its_time(workers: Workers) -> None:
    async with Outbox(workers.database, [WRITE_EFFECT]).transaction() as transaction:
        await transaction.enqueue(WriteEffect(), delay=timedelta(hours=1))
        await transaction.enqueue(WriteEffect())
    async with workers.running([WRITE_EFFECT]):
        await until(lambda: workers.has_effects(1))
        await workers.database.execute("UPDATE chassis_jobs SET run_at = now()")
        await until(lambda: workers.has_effects(2))


async def test_no_two_with_one_key_wait_or_run(workers: Workers) -> None:
    async with Outbox(workers.database, [WRITE_EFFECT]).transaction() as transaction:
        assert [await transaction.enqueue(WriteEffect(), key="it") for _ in range(2)] == [True, False]
    async with workers.running([WRITE_EFFECT]):
        await until(lambda: workers.has_effects(1))
