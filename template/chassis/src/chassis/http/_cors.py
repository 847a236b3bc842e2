"""Cross-origin resource sharing: which origins may call the API from a browser."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from chassis.errors import BadRequest
from chassis.http._problems import problem
from chassis.settings import EdgeSettings

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
REQUEST_HEADERS = ("Authorization", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id")
RESPONSE_HEADERS = (
    *("Deprecation", "ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "Sunset", "WWW-Authenticate", "X-Request-Id"),
)


class OriginRefused(BadRequest):
    title = "Origin not allowed"


class _Cors(CORSMiddleware):
    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        return problem(OriginRefused(), headers={"vary": response.headers["vary"]})


def cors(edge: EdgeSettings) -> list[Middleware]:
    """Create the middleware unless no origin is allowed. It allows no cookies: credentials are in a header."""
    origins = edge.api_cors_origins
    return [Middleware(_Cors, origins, METHODS, REQUEST_HEADERS, expose_headers=RESPONSE_HEADERS)] if origins else []
