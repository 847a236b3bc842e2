"""Renders every error as problem details (RFC 9457), without a word of the caller's input."""

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
from chassis.http import _openapi as openapi
from chassis.http._conditional import NotModified
from chassis.http._idempotency import Replayed
from chassis.http._routes import Routes
from chassis.ops import request_id, trace_id

MEDIA_TYPE = openapi.MEDIA_TYPE
# A body can be wrong in more places than an answer should list.
MAX_VIOLATIONS = 100
SCHEMA_REFERENCE = "#/components/schemas/{model}"


class Violation(BaseModel):
    """One part of the request that is wrong; `pointer` is a JSON pointer (RFC 6901) into that location."""

    location: Literal["body", "query", "path", "header", "cookie"]
    pointer: str
    detail: str


class Problem(BaseModel):
    """Problem details for HTTP APIs (RFC 9457), with the ids of request and trace, and what was wrong where."""

    type: str
    title: str
    status: int
    detail: str | None = None
    request_id: str
    trace_id: str
    errors: list[Violation] | None = None


# What the framework raises by its status is one of the catalogue's own.
BY_STATUS = {kind.status: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Error)}


def problem(
    error: Error, violations: Sequence[Violation] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Make the response for an error of our own tree."""
    body = Problem(
        type=error.type,
        title=error.title,
        status=error.status,
        detail=error.detail,
        request_id=request_id.get(),
        trace_id=trace_id.get(),
        errors=list(violations) or None,
    )
    return _respond(body, {**(headers or {}), **error.headers()})


def add_problem_handlers(app: FastAPI) -> None:
    """Render our errors, the framework's and the body parser's; an unexpected one is left to the middleware."""
    for kind in (Error, HTTPException, RequestValidationError, NotModified, Replayed):
        app.add_exception_handler(kind, _render)


def add_problem_schema(document: dict[str, Any]) -> None:
    """Add the schemas that every problem's answer refers to to an OpenAPI document."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template=SCHEMA_REFERENCE)
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
        case NotModified():
            return Response(status_code=304, headers={"etag": error.tag})
        case Replayed():
            return error.response
        case _:
            return problem(Error())


def _of_status(status: int, headers: Mapping[str, str]) -> JSONResponse:
    if status in BY_STATUS:
        return problem(BY_STATUS[status](), headers=headers)
    title = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    body = Problem(type="about:blank", title=title, status=status, request_id=request_id.get(), trace_id=trace_id.get())
    return _respond(body, headers)


def _allowed(request: Request) -> str:
    """Name the methods of every route at this path (RFC 9110, section 10.2.1)."""
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
        path.pop()  # the caller chose this name
    pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"].endswith("_parsing"):  # what follows quotes the input
        message = message.partition(", ")[0]
    return Violation(location=location, pointer=pointer, detail=message)
