"""What every request has: its ids, security headers, access log line, metrics, and a response to unexpected errors."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPMethod, HTTPStatus
from time import perf_counter
from urllib.parse import quote

import structlog
from opentelemetry.trace import Span
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from chassis.errors import Error
from chassis.http._context import KEY, RequestContext, context_of
from chassis.http._cors import fields_for
from chassis.http._problems import problem
from chassis.http._routes import Routes
from chassis.ops import entry_span, fail, metrics, module_of, principal, request_id

log = structlog.stdlib.get_logger(__name__)

METHODS = frozenset(HTTPMethod)
SAFE = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Sent over TLS only (RFC 6797, section 7.2).
TLS_ONLY = {"strict-transport-security": "max-age=31536000"}
# The caller may cache the response to a read, and revalidates it with its ETag.
KEPT, NOT_KEPT = {"cache-control": "private, no-cache"}, {"cache-control": "no-store"}


def _choose_request_id(scope: Scope) -> str:
    """Keep the caller's X-Request-Id if it is safe to log and forward, else create one."""
    offered = Headers(scope=scope).get("x-request-id", "")
    return offered if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", offered) else str(uuid7())


def _parents(scope: Scope) -> Mapping[str, str]:
    """Return the headers of the caller's trace; of several traceparents none counts (W3C Trace Context, 3.2.1)."""
    headers = Headers(scope=scope)
    parents = headers.getlist("traceparent")
    if len(parents) != 1:
        return {}
    return {"traceparent": parents[0], "tracestate": ",".join(headers.getlist("tracestate"))}


class RequestContextMiddleware:
    """A single pure ASGI middleware: each BaseHTTPMiddleware would cost a request about 0.4 ms."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext(_choose_request_id(scope))
        token = request_id.set(context.request_id)
        principal.set("")
        method, scope = scope["method"], _as_get(scope)
        scope[KEY] = context
        started = perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = context.request_id
                self._secure(message["headers"], scope, status)
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    fail(span, str(status))
                for name, value in context.headers:
                    headers.append(name, value)
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        with metrics.REQUESTS_IN_FLIGHT.track_inprogress(), entry_span("HTTP", "server", _parents(scope)) as span:
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:
                log.exception("request failed")
                if status:
                    raise
                fields = fields_for(Headers(scope=scope).get("origin", ""), self._origins)
                await problem(Error(), headers=fields)(scope, receive, send_with_headers)
                fail(span, error)
            finally:
                _record(span, scope, method, status, perf_counter() - started)
                request_id.reset(token)

    def _secure(self, headers: list[tuple[bytes, bytes]], scope: Scope, status: int) -> None:
        """Add the security headers that the route has not set itself."""
        is_kept = scope["method"] == "GET" and status < HTTPStatus.BAD_REQUEST
        added = _fields(is_kept=is_kept, tls=scope["scheme"] == "https")
        names = {name for name, _ in headers}
        headers += [field for field in added if field[0] not in names]


@cache
def _fields(*, is_kept: bool, tls: bool) -> list[tuple[bytes, bytes]]:
    fields = SAFE | (KEPT if is_kept else NOT_KEPT) | (TLS_ONLY if tls else {})
    return [(name.encode(), value.encode()) for name, value in fields.items()]


def _as_get(scope: Scope) -> Scope:
    """Turn HEAD into GET (RFC 9110, section 9.3.2), unless a route handles HEAD; the body is removed later."""
    if scope["method"] != "HEAD":
        return scope
    routes: Routes = scope["app"].state.routes
    return scope if "HEAD" in routes.methods_at(scope["path"]) else {**scope, "method": "GET"}


def _record(span: Span, scope: Scope, method: str, status: int, seconds: float) -> None:
    """Count and log the request under the path template of its route, so that ids create no new time series.

    The span is described by the semantic conventions for HTTP servers, without the path, which may contain a secret.
    """
    method = method if method in METHODS else metrics.OTHER
    client, _port = scope["client"] or ("", 0)
    routes: Routes = scope["app"].state.routes
    route = routes.template_of(scope)
    metrics.count_request(method, route, status, seconds, context_of(scope).body_bytes)
    if span.is_recording():
        if route != metrics.UNMATCHED:
            span.set_attribute("http.route", route)
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "url.scheme": scope["scheme"]})
        span.set_attributes({"chassis.request_id": request_id.get(), "http.response.status_code": status})
    milliseconds = round(seconds * 1000, 1)
    log.info(
        "request",
        module=module_of(getattr(scope.get("endpoint"), "__module__", "")) or "http",
        method=method,
        route=route,
        path=quote(scope["path"]),
        status=status,
        duration_ms=milliseconds,
        client=client,
    )
