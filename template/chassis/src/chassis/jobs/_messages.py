"""What modules say to each other: events that happened, tasks to do."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How the jobs of a message are run."""

    # The form of the payload: a change that an earlier payload does not fit takes the next, and an `upgrade`.
    version: int = 1
    # Jobs of a higher one go first.
    priority: int = 0
    # Runs of a failing job before it is a dead letter; as WORKER_MAX_ATTEMPTS says when it is None.
    max_attempts: int | None = None
    # How long one run may take.
    deadline: timedelta = timedelta(minutes=5)
    # Jobs of a handler that run at once on all workers together; 0 is no limit.
    concurrency: int = 0


class Message(BaseModel):
    """A payload on the queue; unknown fields are ignored, so that an older worker reads a newer message."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    delivery: ClassVar[Delivery] = Delivery()

    id: UUID = Field(default_factory=uuid7)

    @property
    def ordering_key(self) -> str | None:
        """Let a handler's jobs with the same key run in the order they were queued, one after the other."""
        return None

    @classmethod
    def upgrade(cls, payload: dict[str, Any], version: int) -> dict[str, Any]:
        """Bring an earlier payload to the present form; where no message overrides this, one is a dead letter."""
        fields = ", ".join(payload)
        raise ValueError(f"no {cls.__name__}.upgrade reads version {version}, which is on the queue with {fields}")


class Event(Message):
    """Something that happened; any number of handlers may react, each in a job of its own."""


class Task(Message):
    """Something to be done; exactly one handler does it."""


class TrackedTask(Task):
    """Something that takes its time, and that who asked for it can follow at `/v1/jobs/{id}`."""
