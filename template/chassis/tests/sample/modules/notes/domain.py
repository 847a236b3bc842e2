"""What a note is."""

from dataclasses import dataclass
from uuid import UUID

from chassis.errors import Invalid, NotFound


class NoteNotFound(NotFound):
    title = "Note not found"


class NoteTooLong(Invalid):
    title = "The note is too long"


@dataclass(frozen=True, slots=True)
class Note:
    """A text; `counted` says how often the worker has counted it, which must come to be 1."""

    id: UUID
    owner: str
    text: str
    counted: int = 0
    version: int = 1
