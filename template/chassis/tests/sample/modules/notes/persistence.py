"""The only SQL of notes."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from chassis.data import Connection

from tests.sample.modules.notes.domain import Note

INSERT = "INSERT INTO notes (id, owner, text, parent_id) VALUES ($1, $2, $3, $4)"

GET = "SELECT id, owner, text, counted, version FROM notes WHERE id = $1 AND owner = $2"

GET_FOR_UPDATE = f"{GET} FOR UPDATE"

LIST = """
    SELECT id, owner, text, counted, version FROM notes
    WHERE owner = $1 AND ($2::uuid IS NULL OR id < $2)
    ORDER BY id DESC
    LIMIT $3
"""

LIST_IDS = "SELECT id FROM notes WHERE owner = $1 ORDER BY id OFFSET $2 LIMIT $3"

UPDATE = "UPDATE notes SET text = $2, version = $3 WHERE id = $1 AND owner = $4"

COUNT = "UPDATE notes SET counted = counted + 1 WHERE id = $1"

DELETE_BLANK = "DELETE FROM notes WHERE text = ''"


async def add(connection: Connection, note: Note, parent_id: UUID | None) -> None:
    await connection.execute(INSERT, note.id, note.owner, note.text, parent_id)


async def get(connection: Connection, owner: str, note_id: UUID) -> Note | None:
    row = await connection.fetchrow(GET, note_id, owner)
    return _note(row) if row else None


async def get_for_update(connection: Connection, owner: str, note_id: UUID) -> Note | None:
    row = await connection.fetchrow(GET_FOR_UPDATE, note_id, owner)
    return _note(row) if row else None


async def update(connection: Connection, note: Note) -> None:
    await connection.execute(UPDATE, note.id, note.text, note.version, note.owner)


async def list_before(connection: Connection, owner: str, before: UUID | None, limit: int) -> Sequence[Note]:
    return [_note(row) for row in await connection.fetch(LIST, owner, before, limit)]


async def list_ids(connection: Connection, owner: str, skip: int, limit: int) -> Sequence[UUID]:
    return [row["id"] for row in await connection.fetch(LIST_IDS, owner, skip, limit)]


async def count(connection: Connection, note_id: UUID) -> None:
    await connection.execute(COUNT, note_id)


async def delete_blank(connection: Connection) -> None:
    await connection.execute(DELETE_BLANK)


def _note(row: Record) -> Note:
    return Note(row["id"], row["owner"], row["text"], row["counted"], row["version"])
