"""Which pages of other origins may call the API, and what they may see."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from chassis.errors import BadRequest
from chassis.http._problems import problem
from chassis.settings import EdgeSettings

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
SENT = ("Authorization", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id")
SEEN = (
    *("Deprecation", "ETag", "Idempotency-Replayed", "Location", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "Sunset", "X-Request-Id"),
)


class OriginRefused(BadRequest):
    title = "Origin not allowed"


class _Cors(CORSMiddleware):
    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        refusal = problem(OriginRefused())
        refusal.headers["vary"] = response.headers["vary"]
        return refusal


def cors(edge: EdgeSettings) -> list[Middleware]:
    """Make the middleware for an allow-list that is not empty. Cookies are not allowed: credentials are in a header."""
    if not edge.api_cors_origins:
        return []
    return [
        Middleware(
            _Cors,
            allow_origins=edge.api_cors_origins,
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=SEEN,
        )
    ]
