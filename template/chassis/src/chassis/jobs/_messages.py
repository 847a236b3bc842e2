"""What modules say to each other: events that happened, tasks to do."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

# Each has a part of the index by which jobs are claimed, so there are few.
type Priority = Literal[-1, 0, 1]
PRIORITIES: tuple[int, ...] = tuple(sorted(get_args(Priority.__value__), reverse=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How the jobs of a message are run."""

    # The version of the payload: a change that an earlier payload does not fit needs the next one, and an `upgrade`.
    version: int = 1
    # Jobs of a higher priority run first: 1, 0 or -1.
    priority: Priority = 0
    # Attempts at a failing job before it is dead-lettered; None uses WORKER_MAX_ATTEMPTS.
    max_attempts: int | None = None
    # How long one attempt may take.
    deadline: timedelta = timedelta(minutes=5)
    # Jobs of a handler that run at the same time on all workers together; 0 is no limit.
    concurrency: int = 0

    def __post_init__(self) -> None:
        if self.priority not in PRIORITIES:
            raise ValueError(f"priority is {self.priority}: use one of {', '.join(map(str, PRIORITIES))}")


class Unreadable(Exception):
    """The payload does not fit its message; another attempt would not help."""


class NewerVersion(Exception):
    """The payload is of a later release, whose workers can read it."""


class Payload(BaseModel):
    """What a handler is given; unknown fields are ignored, so that an older release reads what a newer one wrote."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    delivery: ClassVar[Delivery] = Delivery()

    @property
    def ordering_key(self) -> str | None:
        """Jobs of a handler with the same key run one after the other, in the order in which they were queued."""
        return None

    @classmethod
    def upgrade(cls, payload: dict[str, Any], version: int) -> dict[str, Any]:
        """Convert an earlier payload to the current version; without an override, an earlier one is dead-lettered."""
        fields = ", ".join(payload)
        raise ValueError(f"no {cls.__name__}.upgrade reads version {version}, which is on the queue with {fields}")


def read_payload[P: Payload](kind: type[P], payload: bytes, version: int) -> P:
    """Read a payload of this or an earlier version. Raises Unreadable, or NewerVersion for one of a later release."""
    if version > kind.delivery.version:
        raise NewerVersion(f"version {version} of {kind.__name__} is later than {kind.delivery.version}")
    try:
        if version == kind.delivery.version:
            return kind.model_validate_json(payload)
        return kind.model_validate(kind.upgrade(json.loads(payload), version))
    except Exception as error:
        raise Unreadable(f"the payload is no {kind.__name__}") from error


class Message(Payload):
    """A payload that this service queues itself."""

    id: UUID = Field(default_factory=uuid7)


class Event(Message):
    """Something that happened; any number of handlers may react, each in a job of its own."""


class Task(Message):
    """Something to be done; exactly one handler does it."""


class TrackedTask(Task):
    """A long-running task whose progress the requester can follow at `/v1/jobs/{id}`."""
