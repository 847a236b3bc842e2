"""A job as a message: its payload stays as it is, and what its row says besides is in headers."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from asyncpg import Record
from nats.aio.msg import Msg
from nats.js.api import Header
from pgqueuer.models import Job as Claimed

# A message of NATS has at most 1 MiB if nobody says otherwise, headers included.
LARGEST_BYTES = 900_000

_ID, _TASK, _PRIORITY, _ATTEMPTS, _CREATED, _HEADERS = (
    f"Job-{name}" for name in ("Id", "Task", "Priority", "Attempts", "Created", "Headers")
)


class NotAJob(Exception):
    """The message is none of a relay."""


def pack(row: Record) -> dict[str, str]:
    """Give the headers of a job's message; the stream takes one with the same id once.

    The same row has the same id, so that it may be published again, and after a retry it has another.
    """
    return {
        Header.MSG_ID: f"{row['id']}-{row['attempts']}-{row['execute_after'].timestamp()}",
        _ID: str(row["id"]),
        _TASK: row["entrypoint"],
        _PRIORITY: str(row["priority"]),
        _ATTEMPTS: str(row["attempts"]),
        _CREATED: row["created"].isoformat(),
        _HEADERS: json.dumps(json.loads(row["headers"] or "{}")),
    }


def unpack(message: Msg) -> Claimed:
    """Give the job of a message; a delivery counts as a run before it begins.

    Raises NotAJob.
    """
    headers: Mapping[str, str] = message.headers or {}
    now = datetime.now(UTC)
    try:
        return Claimed.model_validate(
            {
                "id": headers[_ID],
                "priority": headers[_PRIORITY],
                "created": headers[_CREATED],
                "updated": now,
                "heartbeat": now,
                "execute_after": now,
                "status": "picked",
                "entrypoint": headers[_TASK],
                "payload": message.data,
                "attempts": int(headers[_ATTEMPTS]) + (message.metadata.num_delivered or 1),
                "queue_manager_id": None,
                "headers": headers[_HEADERS],
            }
        )
    except KeyError as error:
        raise NotAJob(f"without {error}") from error
    except ValueError as error:
        raise NotAJob(str(error)) from error
