"""Each job is done, its effect is there once, and a failure is kept as a dead letter."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from chassis.jobs import Outbox, Transaction, handle
from chassis.jobs import _dead_letters as dead_letters
from chassis.jobs._dead_letters import Selection

from tests.jobs.conftest import WRITE_EFFECT, Workers, WriteEffect, until, write_effect

INSERT_AGAIN = """
    INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status)
    VALUES (0, $1, $2, '{"version": "1"}', 'queued')
"""
ROWS = "SELECT status::text, attempts FROM pgqueuer"
MESSAGES = """
    SELECT traceback ->> 'exception_type', traceback ->> 'exception_message' FROM pgqueuer_log WHERE status = 'failed'
"""
ERRORS = "SELECT traceback ->> 'exception_type' FROM pgqueuer_log WHERE status = 'failed'"


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
    assert await workers.database.pool.fetchval("SELECT count(*) FROM pgqueuer") == 0


async def test_what_comes_twice_has_one_effect(workers: Workers) -> None:
    once = WriteEffect()

    async def has_come_again() -> bool:
        return "job already done" in [entry["event"] for entry in logs]

    with capture_logs() as logs:
        async with workers.running([WRITE_EFFECT]):
            await workers.queue([WRITE_EFFECT], once)
            await until(lambda: workers.has_effects(1))
            await workers.database.pool.execute(INSERT_AGAIN, WRITE_EFFECT.name, once.model_dump_json().encode())
            await until(has_come_again)
    assert await workers.has_effects(1)


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
        assert await workers.database.pool.fetchval(ERRORS) == "RuntimeError"
        assert await workers.has_effects(0)
        has_broken = False
        async with workers.database.transaction() as connection:
            assert len(await dead_letters.retry(connection, Selection())) == 1
        await until(lambda: workers.has_effects(1))


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
    [(error, message)] = await workers.database.pool.fetch(MESSAGES)
    assert (error, message) == ("ValueError", "\ufffd and \\u0000")
    assert [tuple(row) for row in await workers.database.pool.fetch(ROWS)] == [
        ("failed", workers.settings.worker_max_attempts)
    ]


async def has_dead_letter(workers: Workers) -> bool:
    return await workers.dead_letters() == 1


async def test_an_unreadable_payload_is_kept_without_a_second_run(workers: Workers) -> None:
    await workers.queue([WRITE_EFFECT], WriteEffect())
    await workers.database.pool.execute("UPDATE pgqueuer SET payload = 'no json'")
    async with workers.running([WRITE_EFFECT]):
        await until(lambda: has_dead_letter(workers))
    assert [tuple(row) for row in await workers.database.pool.fetch(ROWS)] == [("failed", 1)]
    assert await workers.database.pool.fetchval(ERRORS) == "Unreadable"


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
    rows = [tuple(row) for row in await workers.database.pool.fetch(ROWS)]
    assert rows == ([] if is_enough else [("queued", 0)])
    async with workers.running([handle(WriteEffect, slow)]):
        await until(lambda: workers.has_effects(1))


async def test_a_job_waits_for_its_time(workers: Workers) -> None:
    async with Outbox(workers.database, [WRITE_EFFECT]).transaction() as transaction:
        await transaction.enqueue(WriteEffect(), delay=timedelta(hours=1))
        await transaction.enqueue(WriteEffect())
    async with workers.running([WRITE_EFFECT]):
        await until(lambda: workers.has_effects(1))
        await workers.database.pool.execute("UPDATE pgqueuer SET execute_after = now()")
        await until(lambda: workers.has_effects(2))


async def test_no_two_with_one_key_wait_or_run(workers: Workers) -> None:
    async with Outbox(workers.database, [WRITE_EFFECT]).transaction() as transaction:
        assert [await transaction.enqueue(WriteEffect(), key="it") for _ in range(2)] == [True, False]
    async with workers.running([WRITE_EFFECT]):
        await until(lambda: workers.has_effects(1))
