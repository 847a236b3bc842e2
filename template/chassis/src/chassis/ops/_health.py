"""The application of the operations port: liveness, readiness and metrics."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from chassis.errors import Unavailable
from chassis.ops._log_level import LOG_LEVEL_ROUTES
from chassis.ops._metrics import exposition


def create_operations(is_ready: Callable[[], Awaitable[bool]]) -> Starlette:
    """Create the application with /livez, /readyz, /metrics and /log-level."""

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_request: Request) -> Response:
        return PlainTextResponse("ready\n") if await is_ready() else _not_ready(Unavailable())

    async def metrics(request: Request) -> Response:
        content, media_type = exposition(request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics), *LOG_LEVEL_ROUTES]
    return Starlette(routes=routes)


def _not_ready(error: Unavailable) -> Response:
    problem = {"type": error.type, "title": error.title, "status": error.status, "detail": "Not ready."}
    return JSONResponse(problem, error.status, error.headers(), "application/problem+json")
