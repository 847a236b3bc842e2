"""What a route answers with besides its result, as fragments of the OpenAPI document that are declared at their cause.

A route names what it raises and sends, `responses=raises(InvoiceNotFound) | sends("ETag")`; a dependency says the same
for every route that has it, with `@documented(raises(...))`; what any route may answer is said here.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from chassis.errors import (
    BadRequest,
    ContentTooLarge,
    Error,
    Forbidden,
    HeadersTooLarge,
    Invalid,
    NotAcceptable,
    RequestTimeout,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    UriTooLong,
)

type Responses = dict[int | str, dict[str, Any]]

MEDIA_TYPE = "application/problem+json"
SUCCESS = "2XX"

# What a route on a Router may answer, by what it takes.
ALWAYS: tuple[type[Error], ...] = (
    *(BadRequest, NotAcceptable, RequestTimeout, UriTooLong, TooManyRequests, HeadersTooLarge),
    *(Error, Unavailable),
)
WITH_INPUT: tuple[type[Error], ...] = (Invalid,)
WITH_BODY: tuple[type[Error], ...] = (ContentTooLarge, UnsupportedMediaType)

# Optional for the framework, since their lack is an error of its own kind.
REQUIRED_HEADERS = {"idempotency-key", "if-match"}

REQUEST = {"request_id": "0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
TEXT = {"type": "string"}
HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"description": "The version, for `If-Match` and `If-None-Match`.", "schema": TEXT, "example": '"1"'},
    "Idempotency-Replayed": {
        "description": "`true` when the request was answered before and this is that answer.",
        "schema": {"enum": ["true"]},
    },
    "Location": {"description": "Where what was made can be read.", "schema": TEXT | {"format": "uri-reference"}},
    "Retry-After": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer", "minimum": 0}},
    "RateLimit": {"description": "What is left, and for how many seconds.", "schema": TEXT},
    "RateLimit-Policy": {"description": "What is allowed, and in how many seconds.", "schema": TEXT},
    "WWW-Authenticate": {"description": "How to say who asks, and what was wrong (RFC 6750).", "schema": TEXT},
    "X-Request-Id": {"description": "The request's id, in logs and problems too.", "schema": TEXT, "required": True},
}

EVERYWHERE = ("RateLimit", "RateLimit-Policy", "X-Request-Id")

_declared: dict[Callable[..., Any], Responses] = {}


def raises(*errors: type[Error]) -> Responses:
    """Say that these errors are among the answers."""
    return merged(*({error.status: _answer(error)} for error in errors))


def sends(*headers: str, status: int | None = None) -> Responses:
    """Say that the answer to a request that succeeds, or that of this status, may have these of HEADERS."""
    description = {"description": HTTPStatus(status).phrase} if status else {}
    return {status or SUCCESS: description | {"headers": _headers(*headers)}}


def documented[C: Callable[..., Any]](*fragments: Responses) -> Callable[[C], C]:
    """Say what a dependency adds to the answers of each route that has it."""

    def declare(dependency: C) -> C:
        _declared[dependency] = merged(*fragments)
        return dependency

    return declare


def answers_of(route: APIRoute) -> Responses:
    """Gather what a route declares, what its dependencies do, and what any route like it may answer."""
    parts = list(_parts(route.dependant))
    takes_body = route.body_field is not None
    takes_input = takes_body or any(
        part.path_params or part.query_params or part.header_params or part.cookie_params for part in parts
    )
    found = merged(
        route.responses,
        *(_declared.get(part.call, {}) for part in parts if part.call),
        raises(*ALWAYS, *(WITH_INPUT if takes_input else ()), *(WITH_BODY if takes_body else ())),
    )
    succeeded = {route.status_code or HTTPStatus.OK.value: found.pop(SUCCESS, {})}
    return dict(sorted(merged(succeeded, found).items(), key=lambda answer: str(answer[0])))


def complete(document: dict[str, Any], credential: str | None) -> None:
    """Add the headers that every answer has, describe parameters, and state each repeated answer once.

    `credential` describes the bearer credential; None is a service without authentication.
    """
    document.setdefault("components", {})["headers"] = HEADERS
    paths: dict[str, dict[str, Any]] = document.get("paths", {})
    operations = [operation for path in paths.values() for operation in path.values()]
    for operation in operations:
        for answer in operation["responses"].values():
            answer.setdefault("headers", {}).update(_headers(*EVERYWHERE))
        for parameter in operation.get("parameters", ()):
            _simplify(parameter)
    for path in paths:
        _link(paths, path)
    names = {tag: None for operation in operations for tag in operation.get("tags", ())}
    document["tags"] = [{"name": name} for name in names]
    _describe_security(document, operations, credential)
    _share_answers(document, operations)


def _describe_security(document: dict[str, Any], operations: Iterable[dict[str, Any]], credential: str | None) -> None:
    """Describe the credential, or remove what the policies say of one where there is no authentication."""
    schemes = document["components"].get("securitySchemes", {})
    if credential is not None:
        for scheme in schemes.values():
            scheme["description"] = credential
        return
    document["components"].pop("securitySchemes", None)
    for operation in operations:
        if operation.pop("security", None) is not None:
            for error in (Unauthorized, Forbidden):
                operation["responses"].pop(str(error.status), None)


def _share_answers(document: dict[str, Any], operations: Iterable[dict[str, Any]]) -> None:
    """Move the answers of errors to `components.responses`, named by their problem types."""
    shared: dict[str, dict[str, Any]] = document["components"].setdefault("responses", {})
    for operation in operations:
        answers: dict[str, dict[str, Any]] = operation["responses"]
        for status, answer in answers.items():
            types = answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
            name = "Or".join("".join(map(str.capitalize, kind.split("-"))) for kind in types)
            if name and shared.setdefault(name, answer) == answer:
                answers[status] = {"$ref": f"#/components/responses/{name}"}
    document["components"]["responses"] = dict(sorted(shared.items()))


def merged(*fragments: dict[Any, Any]) -> dict[Any, Any]:
    """Merge mappings in depth: lists are joined, of other values the last one stays."""
    whole: dict[Any, Any] = {}
    for fragment in fragments:
        for name, value in fragment.items():
            match whole.get(name), value:
                case dict() as before, dict():
                    whole[name] = merged(before, value)
                case list() as before, list():
                    whole[name] = [*before, *(item for item in value if item not in before)]
                case _:
                    whole[name] = merged(value) if isinstance(value, dict) else value
    return whole


def _answer(error: type[Error]) -> dict[str, Any]:
    members = {"type": error.type, "title": error.title, "status": error.status}
    example = members | REQUEST
    schema = {"$ref": "#/components/schemas/Problem", "properties": {"type": {"enum": [error.type]}}}
    content = {"schema": schema, "examples": {error.type.rpartition(":")[2]: {"value": example}}}
    return {
        "description": HTTPStatus(error.status).phrase,
        "headers": _headers(*error.sends, *(["Retry-After"] if error.retry_after is not None else [])),
        "content": {MEDIA_TYPE: content},
    }


def _headers(*names: str) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _parts(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for dependency in dependant.dependencies:
        yield from _parts(dependency)


def _link(paths: dict[str, dict[str, Any]], collection: str) -> None:
    """Say where to go from what a POST has made: to each operation on that one thing, at its version."""
    made = [answer for answer in _answers(paths[collection].get("post", {})) if "Location" in answer["headers"]]
    for path, operations in paths.items():
        names = re.findall(r"{(\w+)}", path)
        if not path.startswith(collection + "/{") or len(names) > 1:
            continue
        for operation in operations.values():
            values = {names[0]: "$response.body#/id"}
            if any(parameter["name"] == "if-match" for parameter in operation["parameters"]):
                values["header.if-match"] = "$response.header.ETag"
            for answer in made:
                links = answer.setdefault("links", {})
                links[operation["operationId"]] = {"operationId": operation["operationId"], "parameters": values}


def _answers(operation: dict[str, Any]) -> Iterable[dict[str, Any]]:
    answers: dict[str, dict[str, Any]] = operation.get("responses", {})
    return answers.values()


def _simplify(parameter: dict[str, Any]) -> None:
    """Take `null` out of a parameter's schema: outside of a body there is no such value."""
    if parameter["name"].lower() in REQUIRED_HEADERS:
        parameter["required"] = True
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.update(kinds[0])
