"""How the jobs write their rows."""

import asyncio
import os
import signal
from contextlib import suppress

from chassis.errors import Unavailable
from chassis.jobs import Job, Transaction, handle, handle_without_transaction

from tests.faults.effects.messages import KillWorker, Poison, WriteAlone, WriteEffect, WriteLate, WriteWhenFixed

WRITE = "INSERT INTO effects (id) VALUES ($1)"
IS_FIXED = "SELECT EXISTS (SELECT FROM fixes)"


async def write_effect(task: WriteEffect, transaction: Transaction) -> None:
    await transaction.connection.execute(WRITE, task.id)
    await asyncio.sleep(task.seconds)


async def write_late(task: WriteLate, job: Job) -> None:
    await asyncio.sleep(task.seconds)
    async with job.transaction() as transaction:
        await transaction.connection.execute(WRITE, task.id)


async def write_alone(task: WriteAlone, job: Job) -> None:
    await asyncio.sleep(task.seconds)
    async with job.transaction() as transaction:
        await transaction.connection.execute(WRITE, task.id)


async def write_when_fixed(task: WriteWhenFixed, job: Job) -> None:
    is_fixed = False
    while not is_fixed:
        await asyncio.sleep(0.1)
        with suppress(Unavailable):
            async with job.transaction() as transaction:
                is_fixed = await transaction.connection.fetchval(IS_FIXED)
    async with job.transaction() as transaction:
        await transaction.connection.execute(WRITE, task.id)


async def poison(task: Poison, transaction: Transaction) -> None:
    if not await transaction.connection.fetchval(IS_FIXED):
        raise RuntimeError("poison")
    await transaction.connection.execute(WRITE, task.id)


async def kill_worker(task: KillWorker, transaction: Transaction) -> None:
    if not await transaction.connection.fetchval(IS_FIXED):
        os.kill(os.getpid(), signal.SIGKILL)
    await transaction.connection.execute(WRITE, task.id)


HANDLERS = [
    handle(WriteEffect, write_effect),
    handle_without_transaction(WriteLate, write_late),
    handle_without_transaction(WriteAlone, write_alone),
    handle_without_transaction(WriteWhenFixed, write_when_fixed),
    handle(Poison, poison),
    handle(KillWorker, kill_worker),
]
