"""Reads and changes the log level of a process while it runs: `GET` and `PUT /log-level` of the operations port."""

from http import HTTPMethod
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.errors import Invalid
from chassis.ops._logs import get_log_level, set_log_level
from chassis.ops._problem import problem

log = structlog.stdlib.get_logger(__name__)

MAX_BODY = 1_000


class LogLevel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: Literal["debug", "info", "warning", "error"]


async def _get(_request: Request) -> Response:
    return JSONResponse({"level": get_log_level()})


async def _put(request: Request) -> Response:
    try:
        wanted = LogLevel.model_validate_json(await _body(request)).level
    except ValidationError:
        return problem(Invalid('Send {"level": "debug"}, or info, warning or error.'))
    before = get_log_level()
    set_log_level("info")  # so that the change itself is logged
    log.info("log level changed", before=before, after=wanted)
    set_log_level(wanted)
    return await _get(request)


async def _body(request: Request) -> bytes:
    """Read the body, or what is enough to refuse it."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return b""
    return body


LOG_LEVEL_ROUTES = [Route("/log-level", _get), Route("/log-level", _put, methods=[HTTPMethod.PUT])]
