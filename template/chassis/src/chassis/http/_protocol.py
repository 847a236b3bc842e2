"""Refuses slow, oversized and malformed requests before they reach the application.

Uses httptools, whose parser (llhttp) is strict and written in C; h11 is written in Python and scans all earlier data
again for each packet of a slow sender.
"""

from asyncio import TimerHandle, Transport
from itertools import chain

import structlog
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from chassis.errors import BadRequest, Error, HeadersTooLarge, RequestTimeout, Unavailable, UriTooLong
from chassis.http._problems import problem
from chassis.http._request_context import NOT_KEPT, SAFE
from chassis.ops import metrics, request_id
from chassis.settings import EdgeSettings

log = structlog.stdlib.get_logger(__name__)

MAX_ADDRESS = 8_192
MAX_HEADERS = 100
MAX_HEAD = 32_768
# For this long a refused caller may read the response, while what it still sends is discarded.
LINGER_SECONDS = 1.0


class EdgeProtocol(HttpToolsProtocol):
    """A connection with a deadline for each request head, from its start or from the previous response."""

    head_timeout = 10.0
    max_connections = 1000

    _deadline: TimerHandle | None = None
    _head_size = 0  # bytes of an incomplete head
    _in_head = True
    _refusal: Error | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn itself
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._refuse(Unavailable())
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, or discard it if the request has been refused."""
        if self._refusal:
            return
        if self._in_head:
            self._head_size += len(data)
        super().data_received(data)
        if self._in_head and self._head_size > MAX_HEAD and not self._refusal:
            self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_size = self._head_size or 1  # it began in the same packet as the previous request

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_ADDRESS:
            self._give_up(UriTooLong())

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large or has not exactly one Host (RFC 9112, section 3.2)."""
        self._in_head, self._head_size = False, 0
        self._stop_waiting()
        if len(self.headers) > MAX_HEADERS or sum(map(len, chain(*self.headers))) > MAX_HEAD:
            self._give_up(HeadersTooLarge())
        hosts = [name for name, _ in self.headers].count(b"host")
        if self.parser and self.parser.get_http_version() != "1.0" and hosts != 1:
            self._give_up(BadRequest("The request must have exactly one Host header field."))
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Await the next head, after the rest of the body, unless a pipelined request is next."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._await_head()
            self._in_head = not self.cycle.more_body

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
        self.transport.write(_render(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._in_head, self._deadline = True, self.loop.call_later(self.head_timeout, self._end_waiting)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _end_waiting(self) -> None:
        if self._head_size:
            self._refuse(RequestTimeout())
        else:
            self.transport.close()


def protocol_of(edge: EdgeSettings) -> type[EdgeProtocol]:
    """Create the protocol class with these limits, since uvicorn takes a class."""
    limits = {"head_timeout": edge.api_head_timeout, "max_connections": edge.api_connections}
    return type("ApiProtocol", (EdgeProtocol,), limits)


def _render(error: Error) -> bytes:
    """Render the response as the application would, and count and log it."""
    token = request_id.set(str(uuid7()))
    response = problem(error)
    response.headers.update(SAFE | NOT_KEPT | {"connection": "close", "x-request-id": request_id.get()})
    lines = [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
    metrics.REQUESTS.labels("other", "unmatched", error.status).inc()
    log.info("request refused", status=error.status)
    request_id.reset(token)
    return b"".join([STATUS_LINE[error.status], *lines, b"\r\n", response.body])
