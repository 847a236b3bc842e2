"""The use cases of notes."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.data import Connection
from chassis.jobs import Job, TrackedJob, Transaction, tracking
from chassis.settings import load

from tests.sample.modules.notes import persistence
from tests.sample.modules.notes.domain import Note, NoteNotFound, NoteTooLong
from tests.sample.modules.notes.messages import NoteTaken, Recount
from tests.sample.modules.notes.settings import Settings


async def take(transaction: Transaction, owner: str, text: str, parent_id: UUID | None = None) -> Note:
    if len(text) > load(Settings).notes_longest:
        raise NoteTooLong
    note = Note(uuid7(), owner, text)
    await transaction.publish(NoteTaken(note_id=note.id))
    await persistence.add(transaction.connection, note, parent_id)
    return note


async def get(connection: Connection, owner: str, note_id: UUID) -> Note:
    note = await persistence.get(connection, owner, note_id)
    if note is None:
        raise NoteNotFound
    return note


async def change(
    transaction: Transaction, owner: str, note_id: UUID, text: str, *, check: Callable[[int], None]
) -> Note:
    note = await persistence.get_for_update(transaction.connection, owner, note_id)
    if note is None:
        raise NoteNotFound
    check(note.version)
    changed = replace(note, text=text, version=note.version + 1)
    await persistence.update(transaction.connection, changed)
    return changed


async def begin_recount(transaction: Transaction, owner: str) -> TrackedJob:
    return await tracking.begin(transaction, owner, Recount(owner=owner))


async def recount(job: Job, task: Recount) -> None:
    """Count two notes in each transaction; how many are done says where to go on."""
    is_done = False
    while not is_done:
        async with job.transaction() as transaction:
            done = (await tracking.get(transaction.connection, task.owner, task.id)).done
            ids = await persistence.list_ids(transaction.connection, task.owner, done, 2)
            for note_id in ids:
                await persistence.count(transaction.connection, note_id)
            await tracking.advance(transaction, task.id, len(ids))
            is_done = len(ids) < 2
