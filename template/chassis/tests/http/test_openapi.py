"""The OpenAPI document says all that a route may answer, from declarations at their cause."""

from dataclasses import replace
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from chassis.dev.rules import findings
from chassis.http import Router
from chassis.http._openapi import MEDIA_TYPE, merged
from chassis.runtime import Service

from tests.http.applications import application_of

# What every route with a body and a transaction may answer, and what one may that tells callers from each other.
COMMON = {
    "400": ["bad-request"],
    "406": ["not-acceptable"],
    "408": ["request-timeout"],
    "413": ["content-too-large"],
    "414": ["uri-too-long"],
    "415": ["unsupported-media-type"],
    "429": ["too-many-requests"],
    "431": ["headers-too-large"],
    "500": ["error"],
    "503": ["transaction-conflict", "unavailable"],
}
POLICY = {"401": ["unauthorized"], "403": ["forbidden"]}
EVERYWHERE = {"RateLimit", "RateLimit-Policy", "X-Request-Id"}


@pytest.fixture
def document(service: Service) -> dict[str, Any]:
    return service.create_api().openapi()


def operations_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def answers_of(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the answers by their statuses, with those that are shared in place of their references."""
    shared = document["components"]["responses"]
    return {
        status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        for status, answer in operation["responses"].items()
    }


def types_of(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, list[str]]:
    """Map each status to the problem types it has, without what they all begin with."""
    contents = {status: answer.get("content", {}) for status, answer in answers_of(document, operation).items()}
    schemas = {status: content[MEDIA_TYPE]["schema"] for status, content in contents.items() if MEDIA_TYPE in content}
    return {
        status: [kind.rpartition(":")[2] for kind in schema["properties"]["type"]["enum"]]
        for status, schema in schemas.items()
    }


def test_the_document_is_valid(service: Service, document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()
    OpenAPIV31SpecValidator(replace(service, auth=None).create_api().openapi()).validate()
    OpenAPIV31SpecValidator(application_of().openapi()).validate()


def test_the_document_keeps_the_rules(document: dict[str, Any]) -> None:
    assert findings(document) == []


def test_a_route_names_its_own_problems_those_of_its_dependencies_and_those_of_all(document: dict[str, Any]) -> None:
    paths = document["paths"]
    assert types_of(document, paths["/v1/notes"]["post"]) == COMMON | POLICY | {
        "400": ["idempotency-key-required", "idempotency-key-invalid", "bad-request"],
        "422": ["note-too-long", "idempotency-key-reused", "invalid"],
    }
    assert types_of(document, paths["/v1/notes/{note_id}"]["patch"]) == COMMON | POLICY | {
        "404": ["note-not-found"],
        "412": ["precondition-failed"],
        "422": ["invalid"],
        "428": ["precondition-required"],
    }
    assert types_of(document, paths["/v1/notes"]["get"])["400"] == ["cursor-invalid", "bad-request"]


def test_an_answer_of_an_error_is_stated_once(document: dict[str, Any]) -> None:
    references = [
        answer["$ref"]
        for operation in operations_of(document)
        for status, answer in operation["responses"].items()
        if status >= "4"
    ]
    shared = document["components"]["responses"]
    assert len(references) > len(shared)
    assert {reference.rpartition("/")[2] for reference in references} == shared.keys()
    assert list(shared) == sorted(shared)


def test_an_answer_names_its_headers(document: dict[str, Any]) -> None:
    paths = document["paths"]
    taken = answers_of(document, paths["/v1/notes"]["post"])
    assert set(taken["201"]["headers"]) == {"ETag", "Location", "Idempotency-Replayed"} | EVERYWHERE
    assert set(taken["503"]["headers"]) == {"Retry-After"} | EVERYWHERE
    read = answers_of(document, paths["/v1/notes/{note_id}"]["get"])
    assert set(read["304"]["headers"]) == {"ETag"} | EVERYWHERE


def test_what_was_made_is_linked_to_what_can_be_done_with_it(document: dict[str, Any]) -> None:
    links = document["paths"]["/v1/notes"]["post"]["responses"]["201"]["links"]
    assert links["notes_change"]["parameters"] == {
        "note_id": "$response.body#/id",
        "header.if-match": "$response.header.ETag",
    }
    assert links.keys() == {"notes_get", "notes_change"}


def test_a_header_without_which_a_request_is_refused_is_required_and_never_null(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/notes"]["post"]["parameters"]
    assert [(parameter["name"], parameter["required"]) for parameter in parameters] == [("idempotency-key", True)]
    assert parameters[0]["schema"]["type"] == "string"


def test_a_document_that_is_made_again_is_complete_too(service: Service) -> None:
    api = service.create_api()
    first = api.openapi()
    api.include_router(Router("/v1/later", tags=["later"]))
    assert api.openapi() == first


def test_fragments_are_merged_in_depth() -> None:
    first, second = {"a": {"b": [1]}, "c": 1}, {"a": {"b": [1, 2], "d": {}}, "c": 2}
    assert merged(first, second) == {"a": {"b": [1, 2], "d": {}}, "c": 2}
    assert first == {"a": {"b": [1]}, "c": 1}
