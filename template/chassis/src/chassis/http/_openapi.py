"""The responses of a route in the OpenAPI document, each declared next to the code that causes it.

A route declares what it raises and sends, `responses=raises(InvoiceNotFound) | sends("ETag")`; a dependency declares it
for every route that uses it, with `@documented(raises(...))`; the responses that any route may have are declared here.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from chassis import errors
from chassis.errors import Error

type Responses = dict[int | str, dict[str, Any]]

MEDIA_TYPE = "application/problem+json"
SUCCESS = "2XX"

# What any route on a Router may answer.
ALWAYS: tuple[type[Error], ...] = (
    *(errors.BadRequest, errors.NotAcceptable, errors.RequestTimeout, errors.UriTooLong, errors.TooManyRequests),
    *(errors.HeadersTooLarge, Error, errors.Unavailable),
)

# Optional in the signature, because a request without one is refused with an error of its own.
REQUIRED_HEADERS = {"idempotency-key", "if-match"}

REQUEST = {"request_id": "0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
TEXT = {"type": "string"}
HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"description": "The version, for `If-Match` and `If-None-Match`.", "schema": TEXT, "example": '"1"'},
    "Idempotency-Replayed": {
        "description": "`true` if this is the stored response to an earlier request.",
        "schema": {"enum": ["true"]},
    },
    "Location": {"description": "The URL of the created resource.", "schema": TEXT | {"format": "uri-reference"}},
    "Retry-After": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer", "minimum": 0}},
    "RateLimit": {"description": "The remaining quota, and the seconds until it resets.", "schema": TEXT},
    "RateLimit-Policy": {"description": "The quota, and its window in seconds.", "schema": TEXT},
    "WWW-Authenticate": {"description": "The authentication scheme and the error (RFC 6750).", "schema": TEXT},
    "X-Request-Id": {"description": "The request id, also in logs and problems.", "schema": TEXT, "required": True},
}

_declared: dict[Callable[..., Any], Responses] = {}


def raises(*kinds: type[Error]) -> Responses:
    """Declare these errors as responses."""
    return merged(*({kind.status: _response_of(kind)} for kind in kinds))


def sends(*headers: str, status: int | None = None) -> Responses:
    """Declare these of HEADERS for the successful response, or for that of `status`."""
    description = {"description": HTTPStatus(status).phrase} if status else {}
    return {status or SUCCESS: description | {"headers": _headers(*headers)}}


def documented[C: Callable[..., Any]](*fragments: Responses) -> Callable[[C], C]:
    """Declare the responses that a dependency adds to each route that uses it."""

    def declare(dependency: C) -> C:
        _declared[dependency] = merged(*fragments)
        return dependency

    return declare


def answers_of(route: APIRoute) -> Responses:
    """Merge what a route declares, what its dependencies declare, and what any route like it may answer."""
    kinds = [*ALWAYS]
    if route.body_field:
        kinds += [errors.ContentTooLarge, errors.UnsupportedMediaType]
    if route.body_field or get_flat_params(route.dependant):
        kinds.append(errors.Invalid)
    found = merged(route.responses, *_declared_by(route.dependant), raises(*kinds))
    succeeded = {route.status_code or HTTPStatus.OK.value: found.pop(SUCCESS, {})}
    return dict(sorted(merged(succeeded, found).items(), key=lambda answer: str(answer[0])))


def complete(document: dict[str, Any], credential: str | None) -> None:
    """Add the headers of every response, links, tags and the credential, and share repeated responses.

    `credential` describes the bearer credential; None is a service without authentication.
    """
    document.setdefault("components", {})["headers"] = HEADERS
    paths: dict[str, dict[str, Any]] = document.get("paths", {})
    operations = [operation for path in paths.values() for operation in path.values()]
    for operation in operations:
        for answer in operation["responses"].values():
            answer.setdefault("headers", {}).update(_headers("RateLimit", "RateLimit-Policy", "X-Request-Id"))
        for parameter in operation.get("parameters", ()):
            _simplify(parameter)
    for path in paths:
        _link(paths, path)
    names = [tag for operation in operations for tag in operation.get("tags", ())]
    document["tags"] = [{"name": name} for name in dict.fromkeys(names)]
    _describe_security(document, operations, credential)
    _share_answers(document, operations)


def _describe_security(document: dict[str, Any], operations: Iterable[dict[str, Any]], credential: str | None) -> None:
    """Describe the credential, or remove what the policies declare if there is no authentication."""
    schemes = document["components"].get("securitySchemes", {})
    if credential is not None:
        for scheme in schemes.values():
            scheme["description"] = credential
        return
    document["components"].pop("securitySchemes", None)
    for operation in operations:
        if operation.pop("security", None) is not None:
            for error in (errors.Unauthorized, errors.Forbidden):
                operation["responses"].pop(str(error.status), None)


def _share_answers(document: dict[str, Any], operations: Iterable[dict[str, Any]]) -> None:
    """Move the responses of errors to `components.responses`, named after their problem types."""
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
    """Merge mappings recursively: lists are joined, of other values the last one wins."""
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


def _response_of(error: type[Error]) -> dict[str, Any]:
    example = {"type": error.type, "title": error.title, "status": error.status, **REQUEST}
    schema = {"$ref": "#/components/schemas/Problem", "properties": {"type": {"enum": [error.type]}}}
    content = {"schema": schema, "examples": {error.type.rpartition(":")[2]: {"value": example}}}
    return {
        "description": HTTPStatus(error.status).phrase,
        "headers": _headers(*error.sends, *(["Retry-After"] if error.retry_after is not None else [])),
        "content": {MEDIA_TYPE: content},
    }


def _headers(*names: str) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _declared_by(dependant: Dependant) -> Iterator[Responses]:
    if dependant.call:
        yield _declared.get(dependant.call, {})
    for dependency in dependant.dependencies:
        yield from _declared_by(dependency)


def _link(paths: dict[str, dict[str, Any]], collection: str) -> None:
    """Link the response of a POST that creates a resource to each operation on that resource."""
    answers = paths[collection].get("post", {}).get("responses", {}).values()
    created = [answer for answer in answers if "Location" in answer["headers"]]
    for path, operations in paths.items():
        names = re.findall(r"{(\w+)}", path)
        if not path.startswith(collection + "/{") or len(names) > 1:
            continue
        for operation in operations.values():
            values = {names[0]: "$response.body#/id"}
            if any(parameter["name"] == "if-match" for parameter in operation["parameters"]):
                values["header.if-match"] = "$response.header.ETag"
            for answer in created:
                links = answer.setdefault("links", {})
                links[operation["operationId"]] = {"operationId": operation["operationId"], "parameters": values}


def _simplify(parameter: dict[str, Any]) -> None:
    """Remove `null` from the schema of a parameter, which cannot be null."""
    if parameter["name"].lower() in REQUIRED_HEADERS:
        parameter["required"] = True
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.update(kinds[0])
