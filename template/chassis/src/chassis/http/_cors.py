"""Cross-origin resource sharing: which origins may call the API from a browser."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from chassis.errors import BadRequest
from chassis.http._problems import problem
from chassis.settings import EdgeSettings

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
REQUEST_HEADERS = (
    *("Authorization", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id", "X-Requested-With"),
    *("Traceparent", "Tracestate", "Baggage", "Sentry-Trace"),
)
RESPONSE_HEADERS = (
    *("Deprecation", "ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "Sunset", "WWW-Authenticate", "X-Request-Id"),
)


class PreflightRefused(BadRequest):
    title = "Preflight refused"


class Cors(CORSMiddleware):
    """It allows no cookies: credentials are in a header."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        reasons = bytes(response.body).decode()  # as in `Disallowed CORS origin, headers`
        return problem(PreflightRefused(f"{reasons}."), headers={"vary": response.headers["vary"]})


def cors(edge: EdgeSettings) -> list[Middleware]:
    """Create the middleware unless no origin is allowed."""
    if not edge.api_cors_origins:
        return []
    headers = [*REQUEST_HEADERS, *edge.api_cors_headers]
    return [Middleware(Cors, edge.api_cors_origins, METHODS, headers, expose_headers=RESPONSE_HEADERS)]


def fields_for(origin: str, allowed: Sequence[str]) -> dict[str, str]:
    """Return the fields by which a page of this origin sees a response that does not pass the middleware."""
    if origin not in allowed:
        return {}
    exposed = ", ".join(RESPONSE_HEADERS)
    return {"access-control-allow-origin": origin, "access-control-expose-headers": exposed, "vary": "Origin"}
