"""Renders every error as problem details (RFC 9457), which never repeat the caller's input."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from chassis import errors
from chassis.errors import BadRequest, Error, Invalid
from chassis.http._context import EarlyResponse
from chassis.http._openapi import MEDIA_TYPE
from chassis.http._routes import Routes
from chassis.ops import redact, request_id, trace_id

# The number of violations that a response lists.
MAX_VIOLATIONS = 100


class Violation(BaseModel):
    """An invalid part of the request; `pointer` is a JSON pointer (RFC 6901) into `location`."""

    location: Literal["body", "query", "path", "header", "cookie"]
    pointer: str
    detail: str


class Problem(BaseModel):
    """Problem details (RFC 9457), with the ids of request and trace, and the violations of an invalid request."""

    type: str
    title: str
    status: int
    detail: str | None = None
    request_id: str
    trace_id: str
    errors: list[Violation] | None = None


# The errors of the framework, which it raises by their status, become ours.
BY_STATUS = {kind.status: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Error)}


def problem(
    error: Error, violations: Sequence[Violation] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Create the response for an error."""
    body = Problem(
        type=error.type,
        title=error.title,
        status=error.status,
        detail=redact(error.detail) if error.detail else None,
        request_id=request_id.get(),
        trace_id=trace_id.get(),
        errors=list(violations) or None,
    )
    return _respond(body, {**(headers or {}), **error.headers()})


def add_problem_handlers(app: FastAPI) -> None:
    """Render our errors and the framework's; the middleware handles unexpected ones."""
    for kind in (Error, HTTPException, RequestValidationError, EarlyResponse):
        app.add_exception_handler(kind, _render)


def add_problem_schema(document: dict[str, Any]) -> None:
    """Add the schemas of problem details to an OpenAPI document."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schemas["Problem"].pop("$defs"))


def _respond(body: Problem, headers: Mapping[str, str]) -> JSONResponse:
    return JSONResponse(body.model_dump(exclude_none=True), body.status, headers, MEDIA_TYPE)


async def _render(request: Request, error: Exception) -> Response:
    match error:
        case Error():
            return problem(error)
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():  # from routing and the body parser
            allow = {"Allow": _allowed(request)} if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else {}
            return _of_status(error.status_code, {**(error.headers or {}), **allow})
        case EarlyResponse():
            return error.response
        case _:
            return problem(Error())


def _of_status(status: int, headers: Mapping[str, str]) -> JSONResponse:
    if status in BY_STATUS:
        return problem(BY_STATUS[status](), headers=headers)
    title = HTTPStatus(status).phrase if status in HTTPStatus else "Error"
    body = Problem(type="about:blank", title=title, status=status, request_id=request_id.get(), trace_id=trace_id.get())
    return _respond(body, headers)


def _allowed(request: Request) -> str:
    """List the methods of all routes at this path (RFC 9110, section 10.2.1)."""
    routes: Routes = request.app.state.routes
    methods = routes.methods_at(request.scope["path"])
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _invalid(error: RequestValidationError) -> JSONResponse:
    details = error.errors()
    if any(detail["type"] == "json_invalid" for detail in details):
        return problem(BadRequest("The request body is not valid JSON."))
    return problem(Invalid(), [_violation(detail) for detail in details[:MAX_VIOLATIONS]])


def _violation(detail: dict[str, Any]) -> Violation:
    location, *path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        path.pop()  # a name that the caller chose
    pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "too_short" and not detail["ctx"]["actual_length"]:
        message = "Must not be empty"
    if detail["type"].endswith("_parsing"):  # the rest quotes the input
        message = message.partition(", ")[0]
    return Violation(location=location, pointer=pointer, detail=redact(message))
