"""Publishes what the outbox has, in order for each key, and deletes what the stream has acknowledged."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from urllib.parse import quote

import structlog
from asyncpg import Record
from nats.js.api import Header

from chassis.data import Database
from chassis.events._broker import Broker
from chassis.events._kinds import attributes_of, subject_of
from chassis.ops import entry_span, metrics, traceparent

log = structlog.stdlib.get_logger(__name__)

BATCH = 500
# An event that waits longer is logged, as often.
LATE_SECONDS = 60.0

# Visible characters of a header, where others are percent-encoded (CloudEvents 1.0, HTTP binding, section 3.1.3.2).
HEADER_SAFE = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"

WAITING = """
    SELECT id, event_id, kind, key, payload, request_id, traceparent, announced_at
    FROM chassis_outbox ORDER BY id LIMIT $1
"""
AGE = "SELECT extract(epoch FROM now() - announced_at)::float FROM chassis_outbox ORDER BY id LIMIT 1"
DELETE = "DELETE FROM chassis_outbox WHERE id = ANY($1::bigint[])"


class Relay:
    """Publishes the events of one service."""

    def __init__(self, database: Database, service: str) -> None:
        self._database = database
        self._service = service
        self._warned_at = -LATE_SECONDS

    async def publish_batch(self, broker: Broker) -> bool:
        """Publish events that wait; return whether there may be more. Raises what is in NATS_ERRORS, or Unavailable."""
        rows = await self._database.fetch(WAITING, BATCH)
        if not rows:
            return False
        for kind in {row["kind"] for row in rows}:
            await broker.ensure_stream(self._subject(kind))
        left: Sequence[Record] = rows
        while left:
            left = await self._publish_heads(broker, left)
        return len(rows) == BATCH

    async def _publish_heads(self, broker: Broker, rows: Sequence[Record]) -> Sequence[Record]:
        """Publish the first event of each key without waiting for one another; return the others.

        Of two with one key in flight, the second alone could be stored, as when the leader of a stream changes.
        """
        heads: list[Record] = []
        others: list[Record] = []
        keys: set[str] = set()
        for row in rows:
            is_head = row["key"] is None or row["key"] not in keys
            (heads if is_head else others).append(row)
            keys.add(row["key"])
        # Not `publish_async`, whose future does not end when the stream refuses an event (nats-py 2.15).
        answers = await asyncio.gather(
            *(self._publish(broker, row) for row in heads),
            return_exceptions=True,
        )
        stored = [
            row["id"] for row, answer in zip(heads, answers, strict=True) if not isinstance(answer, BaseException)
        ]
        if stored:
            await self._database.execute(DELETE, stored)
            metrics.EVENTS_PUBLISHED.inc(len(stored))
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return others

    async def _publish(self, broker: Broker, row: Record) -> None:
        subject = self._subject(row["kind"])
        attributes = {
            "messaging.system": "nats",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.name": subject,
            "messaging.message.id": str(row["event_id"]),
        }
        with entry_span(f"publish {subject}", "producer", {"traceparent": row["traceparent"]}, attributes):
            await broker.jetstream.publish(subject, row["payload"], headers=self._headers(row))

    async def observe(self) -> None:
        """Record the age of the oldest event that is not published, and log it if that is late. Raises Unavailable."""
        age: float = await self._database.fetchval(AGE) or 0
        metrics.EVENTS_UNPUBLISHED_AGE.set(age)
        if age > LATE_SECONDS and monotonic() - self._warned_at > LATE_SECONDS:
            self._warned_at = monotonic()
            log.warning("events are published late", oldest_seconds=round(age))

    def _subject(self, kind: str) -> str:
        return subject_of(f"{self._service}.{kind}")

    def _headers(self, row: Record) -> dict[str, str]:
        headers = {
            **attributes_of(self._service, row["kind"]),
            Header.MSG_ID: str(row["event_id"]),
            "ce-id": str(row["event_id"]),
            "ce-time": row["announced_at"].isoformat(),
        }
        if row["key"] is not None:
            headers["ce-partitionkey"] = quote(row["key"], safe=HEADER_SAFE)
        if row["request_id"]:
            headers["ce-requestid"] = row["request_id"]
        if current := traceparent():
            headers["ce-traceparent"] = current
        return headers
