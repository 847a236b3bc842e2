"""Writes received events as jobs, each once for its handler, in the order of their stream."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, Self
from uuid import UUID

from chassis.data import Database
from chassis.events._subscriptions import message_id_of
from chassis.jobs import Handler, NewJob, Payload, Retention, Subscription, insert

ADD = "INSERT INTO chassis_subscriptions (handler, position) VALUES ($1, 0) ON CONFLICT DO NOTHING"
POSITION = "SELECT position FROM chassis_subscriptions WHERE handler = $1"
# Only the worker that knows the present position goes on from it.
MOVE = "UPDATE chassis_subscriptions SET position = $3 WHERE handler = $1 AND position = $2 RETURNING true"

# An event may come again when its publisher did not hear that the stream has it.
RECEIVE = """
    INSERT INTO chassis_received_events (handler, event_id, position, published_at)
    SELECT $1, event_id, position, published_at
    FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[]) AS received (event_id, position, published_at)
    ON CONFLICT DO NOTHING RETURNING event_id
"""
# Longer than a stream keeps what its publisher may have sent twice.
RECEIVED_EVENTS = Retention(
    "received_events",
    """
    DELETE FROM chassis_received_events WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM chassis_received_events WHERE received_at < now() - $1::interval
        ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
    """,
)


# What comes from outside is kept as an id only in this form.
REQUEST_ID = re.compile(r"[!-~]{1,128}")
TRACEPARENT = re.compile(r"([0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}).*")
ORDERING_KEY = re.compile(r"[ -~]{0,200}")


class Received(NamedTuple):
    """An event as it came from its stream."""

    id: UUID
    position: int
    published_at: datetime
    payload: bytes
    request_id: str
    traceparent: str

    @classmethod
    def of(cls, headers: Mapping[str, str], payload: bytes, position: int, published_at: datetime) -> Self:
        """Read the attributes of an event in binary or structured mode; what is no CloudEvent has its place as its id.

        A payload that cannot be read stays as it is, for the dead letter that it becomes.
        """
        headers = {name.lower(): value for name, value in headers.items()}
        attributes = {name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")}
        if headers.get("content-type", "").startswith("application/cloudevents+json"):
            with suppress(ValueError, AttributeError, RecursionError):
                envelope: dict[str, Any] = json.loads(payload)
                attributes = {name: str(value) for name, value in envelope.items() if name != "data"}
                payload = json.dumps(envelope["data"]).encode() if "data" in envelope else payload
        place = f"{position} {published_at.isoformat()}"
        event_id = attributes.get("id", headers.get("nats-msg-id", place))
        request_id = REQUEST_ID.fullmatch(attributes.get("requestid", ""))
        traceparent = TRACEPARENT.fullmatch(attributes.get("traceparent") or headers.get("traceparent", ""))
        return cls(
            message_id_of(attributes.get("source", ""), event_id),
            position,
            published_at,
            payload,
            request_id[0] if request_id else "",
            traceparent[1] if traceparent else "",
        )


async def position_of(database: Database, subscription: Subscription) -> int:
    """Return the place in its stream up to which a subscription has received all events."""
    async with database.connection() as connection:
        position: int | None = await connection.fetchval(POSITION, subscription.handler.name)
        if position is None:
            await connection.execute(ADD, subscription.handler.name)
    return position or 0


async def reset(database: Database, subscription: Subscription, position: int) -> None:
    """Receive from the first event of the stream again; those that were received before are left out."""
    await database.execute(MOVE, subscription.handler.name, position, 0)


async def receive(database: Database, subscription: Subscription, events: Sequence[Received], after: int) -> int | None:
    """Queue a job for each event that is new, and move the position; return how many were new.

    Returns None, and changes nothing, if the position is no longer `after`: another worker or a replay has moved it.
    """
    handler = subscription.handler
    async with database.transaction() as connection:
        if not await connection.fetchval(MOVE, handler.name, after, events[-1].position):
            return None
        ids, positions, times, *_ = map(list, zip(*events, strict=True))
        fresh = {row["event_id"] for row in await connection.fetch(RECEIVE, handler.name, ids, positions, times)}
        if jobs := [_job_of(handler, event) for event in events if event.id in fresh]:
            await insert(connection, jobs)
    return len(fresh)


def _job_of(handler: Handler, event: Received) -> NewJob:
    delivery = handler.message.delivery
    return NewJob(
        handler.name,
        event.id,
        delivery.version,
        event.payload,
        delivery.priority,
        delivery.concurrency > 0,
        _ordering_key(handler.message, event.payload),
        event.request_id,
        event.traceparent,
    )


def _ordering_key(kind: type[Payload], payload: bytes) -> str | None:
    if kind.ordering_key is Payload.ordering_key:
        return None
    try:
        key = kind.model_validate_json(payload).ordering_key
    except Exception:  # noqa: BLE001  # the job is dead-lettered when it runs
        return None
    if key is None or ORDERING_KEY.fullmatch(key):
        return key
    return sha256(key.encode(errors="surrogatepass")).hexdigest()  # an index might not take the key itself
