"""The messages of notes."""

from uuid import UUID

from chassis.jobs import Event, Task, TrackedTask


class NoteTaken(Event):
    note_id: UUID


class Explode(Task):
    """Fails, after it has counted the note, `times` times."""

    note_id: UUID
    times: int


class Recount(TrackedTask):
    """Counts each note of its owner once more."""

    owner: str


class Tidy(Task):
    """Deletes the notes without a text."""
