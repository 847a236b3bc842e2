"""Notes over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from chassis.http import (
    ACCEPTED,
    Body,
    IdempotentTransaction,
    IfMatch,
    IfNoneMatch,
    JobView,
    Page,
    PageRequest,
    Reading,
    Router,
    Text,
    Writing,
    accepted,
    raises,
    requires,
    sends,
    tag_of,
)
from chassis.identity import Principal

from tests.sample.modules.notes import persistence, service
from tests.sample.modules.notes.domain import NoteNotFound, NoteTooLong

router = Router("/v1/notes", tags=["notes"])

type Reader = Annotated[Principal, requires("notes:read")]
type Writer = Annotated[Principal, requires("notes:write")]


class TakeNote(Body, json_schema_extra={"examples": [{"text": "Bread"}]}):
    text: Annotated[Text, Field(min_length=1, max_length=1000)]
    # Not in the document: one that is missing fails with the commit, which the tests have to see.
    parent_id: SkipJsonSchema[UUID | None] = None


class ChangeNote(Body, json_schema_extra={"examples": [{"text": "Bread and butter"}]}):
    text: Annotated[Text, Field(min_length=1, max_length=1000)]


SEEN: dict[str, Any] = {"id": "0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b", "text": "Bread", "counted": 1, "version": 1}


class NoteView(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [SEEN]})

    id: UUID
    text: str
    counted: int
    version: int


@router.post("", summary="Take a note", status_code=201, responses=sends("ETag", "Location") | raises(NoteTooLong))
async def take(body: TakeNote, caller: Writer, transaction: IdempotentTransaction, response: Response) -> NoteView:
    note = await service.take(transaction, caller.subject, body.text, body.parent_id)
    response.headers["location"] = f"{router.prefix}/{note.id}"
    response.headers["etag"] = tag_of(note.version)
    return NoteView.model_validate(note)


@router.post("/recount", summary="Count all notes again", status_code=202, responses=ACCEPTED)
async def recount(caller: Writer, transaction: IdempotentTransaction, response: Response) -> JobView:
    return accepted(await service.begin_recount(transaction, caller.subject), response)


@router.get("", summary="List your notes, newest first")
async def list_notes(caller: Reader, connection: Reading, page: PageRequest) -> Page[NoteView]:
    found = await persistence.list_before(connection, caller.subject, page.before, page.fetch_limit)
    return page.of(found, NoteView.model_validate)


@router.get("/{note_id}", summary="Get a note", responses=raises(NoteNotFound))
async def get(note_id: UUID, caller: Reader, connection: Reading, known: IfNoneMatch) -> NoteView:
    note = await service.get(connection, caller.subject, note_id)
    known.tag(note.version)
    return NoteView.model_validate(note)


@router.patch("/{note_id}", summary="Change the text of a note", responses=raises(NoteNotFound))
async def change(note_id: UUID, body: ChangeNote, caller: Writer, transaction: Writing, read: IfMatch) -> NoteView:
    note = await service.change(transaction, caller.subject, note_id, body.text, check=read.check)
    read.tag(note.version)
    return NoteView.model_validate(note)
