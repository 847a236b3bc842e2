"""Integration events: CloudEvents in a stream that other services read at their own pace.

    class InvoiceSentV1(IntegrationEvent):
        kind = "invoices.sent.v1"
        invoice_id: UUID

    async def invoice_sent(event: InvoiceSent, job: Job) -> None:
        await announce(job, InvoiceSentV1(invoice_id=event.invoice_id))

    HANDLERS = [handle_without_transaction(InvoiceSent, invoice_sent)]

A job of the module's own event does it, so that what committed is announced, at least once, and nothing else is. The
stream takes what comes twice within ten minutes once, and what comes later has the same id.
"""

import asyncio
import re
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, override
from urllib.parse import quote
from uuid import UUID

import structlog
from nats.js.api import Header
from nats.js.errors import BadRequestError
from pydantic import BaseModel, ConfigDict

from chassis.events._stream import NATS_ERRORS, Stream, reason_of
from chassis.jobs import Job, Snooze
from chassis.settings import StartError

log = structlog.stdlib.get_logger(__name__)

# The version of a UUID that begins with the time (RFC 9562, section 5.7).
TIMED = 7
# A message of NATS has at most 1 MiB by default, headers included.
MAX_BYTES = 900_000
KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\.v[1-9][0-9]*")
# After a server that hangs, or one that is not there, jobs that announce are left on the queue for as long.
HANGS_SECONDS, AWAY_SECONDS = 10.0, 1.0


class WrongKind(StartError):
    """An integration event is not called as it must be."""


class IntegrationEvent(BaseModel):
    """Something that happened, published to other services; `asyncapi.json` documents this contract.

    `kind` is its name there, as in `invoices.sent.v1`: what breaks who reads it is another kind, with the next number.
    """

    model_config = ConfigDict(frozen=True)
    kind: ClassVar[str]

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **_options: Any) -> None:
        kind = getattr(cls, "kind", None)
        if not KIND.fullmatch(str(kind)):
            where = f"{cls.__module__}.{cls.__name__}"
            raise WrongKind(f'{where}: its kind is {kind!r}, write one of the form `kind = "invoices.sent.v1"`')


async def announce(job: Job, event: IntegrationEvent, key: str = "") -> None:
    """Return when the stream has the event; one run that announces several of a kind gives each a key.

    While NATS is unavailable the job waits, and no attempt is counted. Without NATS_URL nothing is published.
    Raises ValueError for an event of more than 900,000 bytes, and for the second of a kind and key.
    """
    announcer = _announcer.get()
    if announcer is None:
        raise RuntimeError("only a handler that a worker runs can announce")
    await announcer.announce(job, event, key)


class Announcer:
    """What handlers that are started from here on announce over: the connection that carries jobs, while there is."""

    def __init__(self, service: str, *, is_used: bool) -> None:
        self._service = service
        self._is_used = is_used
        self._stream: Stream | None = None
        self._names: set[str] = set()
        self._rests_until = 0.0
        _announcer.set(self)

    @contextmanager
    def over(self, stream: Stream) -> Generator[None]:
        """Have the stream for the length of the block."""
        self._stream = stream
        try:
            yield
        finally:
            self._stream = None

    def resting(self) -> Collection[str]:
        """Name the handlers whose jobs cannot come to an end now."""
        return self._names if asyncio.get_running_loop().time() < self._rests_until else ()

    async def announce(self, job: Job, event: IntegrationEvent, key: str) -> None:
        """Announce, or raise Snooze."""
        headers = _headers(self._service, job, event, key)
        payload = event.model_dump_json().encode()
        if len(payload) > MAX_BYTES:
            raise ValueError(f"{event.kind} has more than {MAX_BYTES} bytes")
        if not self._is_used:
            log.warning("event not announced, NATS_URL is empty", kind=event.kind)
            return
        try:
            if self._stream is None:
                raise ConnectionError("not connected")
            await self._stream.announce(event.kind, payload, headers)
        except BadRequestError:  # the operator's stream does not take it, nor will it
            raise
        except NATS_ERRORS as error:
            seconds = HANGS_SECONDS if isinstance(error, TimeoutError) else AWAY_SECONDS
            self._names.add(job.name)
            self._rests_until = max(self._rests_until, asyncio.get_running_loop().time() + seconds)
            log.warning("event delayed, NATS unavailable", kind=event.kind, error=reason_of(error))
            raise Snooze(timedelta(seconds=seconds), "NATS unavailable") from error


# The one of the worker that runs the handler.
_announcer: ContextVar[Announcer | None] = ContextVar("announcer", default=None)


def attributes_of(service: str, kind: type[IntegrationEvent]) -> Mapping[str, str]:
    """Give what is the same for each: attributes of CloudEvents 1.0, as headers (draft 1.0.3 of its NATS binding)."""
    return {
        "ce-specversion": "1.0",
        "ce-source": f"/{service}",
        "ce-type": f"{service}.{kind.kind}",
        "ce-datacontenttype": "application/json",
    }


def _headers(service: str, job: Job, event: IntegrationEvent, key: str) -> Mapping[str, str]:
    identity = job.key_for(f"{event.kind}:{quote(key, safe='')}" if key else event.kind)
    its_own = {Header.MSG_ID: identity, "ce-id": identity, "ce-time": time_of(job.message_id).isoformat()}
    caused_by = {"ce-requestid": job.caller.request_id} if job.caller.request_id else {}
    return {**attributes_of(service, type(event)), **its_own, **caused_by}


def time_of(message_id: UUID) -> datetime:
    """Read off its id when a message was made; of an id without a time, say that it is made now."""
    if message_id.version != TIMED:
        return datetime.now(UTC)
    return datetime.fromtimestamp((message_id.int >> 80) / 1000, UTC)
