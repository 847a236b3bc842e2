"""The application of the operations port: liveness, readiness, what runs, and metrics."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from chassis.errors import Unavailable
from chassis.ops._log_level import LOG_LEVEL_ROUTES
from chassis.ops._metrics import exposition
from chassis.ops._problem import problem


def create_operations(
    failing: Callable[[], Awaitable[Collection[str]]],
    info: Mapping[str, str],
    ended: Callable[[], Collection[str]] = tuple,
) -> Starlette:
    """Create the application with /livez, /readyz, /info, /metrics and /log-level.

    `failing` returns the failing readiness checks; `ended` returns background loops that stopped unexpectedly, which
    makes the process neither live nor ready.
    """

    async def livez(_request: Request) -> Response:
        return _health("live", ended())

    async def readyz(_request: Request) -> Response:
        return _health("ready", [*await failing(), *(["loops"] if ended() else ())])

    async def about(_request: Request) -> Response:
        return JSONResponse(info)

    async def metrics(request: Request) -> Response:
        content, media_type = exposition(request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    endpoints = {"/livez": livez, "/readyz": readyz, "/info": about, "/metrics": metrics}
    return Starlette(routes=[*(Route(path, endpoint) for path, endpoint in endpoints.items()), *LOG_LEVEL_ROUTES])


def _health(state: str, failing: Collection[str]) -> Response:
    if not failing:
        return PlainTextResponse(f"{state}\n")
    return problem(Unavailable(f"Not {state}: {', '.join(failing)}."))
