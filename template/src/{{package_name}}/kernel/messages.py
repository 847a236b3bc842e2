"""What modules say to each other: events that happened, tasks to do."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7


class Message(BaseModel):
    """A payload on the queue; unknown fields are ignored, so that an older worker reads a newer message."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID = Field(default_factory=uuid7)


class Event(Message):
    """Something that happened; any number of handlers may react, each in a job of its own."""


class Task(Message):
    """Something to be done; exactly one handler does it."""
