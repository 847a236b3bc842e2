"""Refuses slow, oversized and malformed requests before they reach the application.

Uses httptools, whose parser (llhttp) is strict and written in C; h11 is written in Python and scans all earlier data
again for each packet of a slow sender.
"""

from asyncio import TimerHandle, Transport
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import structlog
from httptools import HttpParserUpgrade, HttpRequestParser
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from chassis.errors import BadRequest, Error, HeadersTooLarge, RequestTimeout, Unavailable, UriTooLong
from chassis.http._cors import fields_for
from chassis.http._problems import problem
from chassis.http._request_context import NOT_KEPT, SAFE
from chassis.ops import metrics, request_id
from chassis.settings import EdgeSettings

log = structlog.stdlib.get_logger(__name__)

MAX_ADDRESS = 8_192
MAX_HEADERS = 100
# Bytes of a head, and of what follows a body: lengths of chunks, their extensions, trailers.
MAX_HEAD = 32_768
# Requests that wait for the answer to an earlier one.
MAX_PIPELINED = 32
# For this long a refused caller may read the response, while what it still sends is discarded.
LINGER_SECONDS = 1.0


class _Parser(HttpRequestParser):
    """Ignores a request for another protocol (RFC 9110, section 7.8), where llhttp would ignore the body."""

    def __init__(self, protocol: "EdgeProtocol") -> None:
        super().__init__(protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self._protocol = protocol

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # uvicorn feeds nothing else
        """Parse; from a head with `Upgrade` on once more, without that field, by another parser."""
        while True:
            try:
                HttpRequestParser.feed_data(self._protocol.parser, data)
            except HttpParserUpgrade as upgrade:
                data = self._protocol.head_without_upgrade() + data[upgrade.args[0] :]
                self._protocol.parser = _Parser(self._protocol)
            else:
                return


class EdgeProtocol(HttpToolsProtocol):
    """A connection with a deadline for each request head, from its start or from the previous response."""

    head_timeout = 10.0
    send_timeout = 30.0
    max_connections = 1000
    cors_origins: Sequence[str] = ()

    url = b""
    _deadline: TimerHandle | None = None
    _send_deadline: TimerHandle | None = None
    # Bytes since the begin of a head, or since the last part of a body.
    _size = 0
    _in_head = True
    _refusal: Error | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(*arguments, **options)
        self.parser = _Parser(self)

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn itself
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # so that `pause_writing` is called when the caller does not read
        if len(self.connections) > self.max_connections:
            self._refuse(Unavailable())
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_waiting_to_send()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio itself
        """Let a caller that sends no more have its answers; without any, the connection ends."""
        if not self.cycle or self.cycle.more_body or self.cycle.response_complete:
            return False
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting_to_send()

    def data_received(self, data: bytes) -> None:
        """Parse the data, or discard it if the request has been refused."""
        if self._refusal:
            return
        self._size += len(data)
        super().data_received(data)
        if self._size > MAX_HEAD and not self._refusal:
            self._refuse(UriTooLong() if len(self.url) > MAX_ADDRESS else HeadersTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._size = self._size or 1  # it began in the same packet as the previous request

    def on_header(self, name: bytes, value: bytes) -> None:
        """Ignore trailers: they must not be merged with the headers (RFC 9110, section 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large or ambiguous (RFC 9112, sections 3.2 and 6.1)."""
        self._in_head, self._size = False, 0
        self._stop_waiting()
        if self._asks_for_upgrade():
            return
        if len(self.url) > MAX_ADDRESS:
            self._give_up(UriTooLong())
        if len(self.headers) > MAX_HEADERS or sum(map(len, chain(*self.headers))) > MAX_HEAD:
            self._give_up(HeadersTooLarge())
        is_old = self.parser.get_http_version() == "1.0"
        if not is_old and [name for name, _ in self.headers].count(b"host") != 1:
            self._give_up(BadRequest("The request must have exactly one Host header field."))
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (is_old or codings != [b"chunked"]):
            self._give_up(BadRequest("The only transfer coding is chunked, of HTTP/1.1."))
        if len(self.pipeline) >= MAX_PIPELINED:
            self._give_up(Unavailable())
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._size = 0
        if not self._asks_for_upgrade():
            super().on_message_complete()

    def _asks_for_upgrade(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def head_without_upgrade(self) -> bytes:
        """Write the last head again, without the field `Upgrade`."""
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        return line + b"".join(b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade") + b"\r\n"

    def on_response_complete(self) -> None:
        """Await the next head, after the rest of the body, unless a pipelined request is next."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._await_head()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # ours is more specific
        """Answer a request that the parser or one of our callbacks has refused."""
        self._refuse(self._refusal or BadRequest("The request is not valid HTTP."))

    def _give_up(self, error: Error) -> None:
        """Abort parsing: httptools wraps the exception, and uvicorn then calls `send_400_response`."""
        self._refusal = error
        raise error

    def _refuse(self, error: Error) -> None:
        self._refusal = error
        self._stop_waiting()
        if self.cycle and not (self.cycle.more_body or self.cycle.response_complete):
            self.cycle.keep_alive = False  # close after the pending response
            return
        self.transport.write(_render(error, fields_for(self._origin(), self.cors_origins)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _origin(self) -> str:
        return next((value.decode("latin-1") for name, value in self.headers or () if name == b"origin"), "")

    def _await_head(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(self.head_timeout, self._end_waiting)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _end_waiting(self) -> None:
        if self._size:
            self._refuse(RequestTimeout())
        else:
            self.transport.close()

    def _await_reader(self, unsent: int) -> None:
        self._send_deadline = self.loop.call_later(self.send_timeout, self._end_sending, unsent)

    def _stop_waiting_to_send(self) -> None:
        if self._send_deadline:
            self._send_deadline.cancel()

    def _end_sending(self, before: int) -> None:
        """Drop the connection, unless some of what was unsent `before` has been read."""
        unsent = self.transport.get_write_buffer_size()
        if unsent < before:
            self._await_reader(unsent)
        else:
            self.transport.abort()


def protocol_of(edge: EdgeSettings) -> type[EdgeProtocol]:
    """Create the protocol class with these limits, since uvicorn takes a class."""
    limits = {
        "head_timeout": edge.api_head_timeout,
        "send_timeout": edge.api_send_timeout,
        "max_connections": edge.api_connections,
        "cors_origins": edge.api_cors_origins,
    }
    return type("ApiProtocol", (EdgeProtocol,), limits)


def _render(error: Error, fields: Mapping[str, str]) -> bytes:
    """Render the response as the application would, and count and log it."""
    token = request_id.set(str(uuid7()))
    response = problem(error)
    response.headers.update({**SAFE, **NOT_KEPT, **fields, "connection": "close", "x-request-id": request_id.get()})
    lines = [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
    metrics.REQUESTS.labels(metrics.OTHER, metrics.UNMATCHED, error.status).inc()
    log.info("request refused", status=error.status)
    request_id.reset(token)
    return b"".join([STATUS_LINE[error.status], *lines, b"\r\n", response.body])
