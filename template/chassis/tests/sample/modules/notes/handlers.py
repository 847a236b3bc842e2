"""How notes react to messages."""

from collections import Counter
from uuid import UUID

from chassis.jobs import Job, Transaction, cron, handle, handle_tracked

from tests.sample.modules.notes import persistence, service
from tests.sample.modules.notes.messages import Explode, NoteTaken, Recount, Tidy

runs: Counter[UUID] = Counter()


async def count(taken: NoteTaken, transaction: Transaction) -> None:
    await persistence.count(transaction.connection, taken.note_id)


async def admire(taken: NoteTaken, _transaction: Transaction) -> None:
    runs[taken.note_id] += 1


async def explode(task: Explode, transaction: Transaction) -> None:
    runs[task.id] += 1
    await persistence.count(transaction.connection, task.note_id)
    if runs[task.id] <= task.times:
        raise RuntimeError("boom")


async def recount(task: Recount, job: Job) -> str:
    await service.recount(job, task)
    return "/v1/notes"


async def tidy(_task: Tidy, transaction: Transaction) -> None:
    await persistence.delete_blank(transaction.connection)


HANDLERS = [
    handle(NoteTaken, count),
    handle(NoteTaken, admire),
    handle(Explode, explode),
    handle_tracked(Recount, recount),
    handle(Tidy, tidy),
]

SCHEDULES = [cron("0 4 1 1 *", Tidy)]
