"""The rules for the OpenAPI document: each breach is named, with what mends it."""

from copy import deepcopy
from typing import Any

import pytest

from chassis.dev.rules import findings

TEXT = {"type": "string", "maxLength": 9}
THING: dict[str, Any] = {"type": "object", "properties": {"text": TEXT}, "examples": [{"text": "a"}]}
CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
DOCUMENT: dict[str, Any] = {
    "paths": {
        "/v1/small-things/{thing_id}": {
            "put": {
                "tags": ["things"],
                "summary": "Change a thing",
                "parameters": [{"in": "path", "name": "thing_id", "schema": {"type": "string", "format": "uuid"}}],
                "requestBody": {"content": CONTENT},
                "responses": {"200": {"content": CONTENT}, "422": {"content": {"application/problem+json": {}}}},
            }
        }
    },
    "components": {"schemas": {"Thing": THING}},
}
WHERE = "PUT /v1/small-things/{thing_id}"


def document(**thing: object) -> dict[str, Any]:
    """Give a document without a breach but those of these members of its schema; None takes one out."""
    made = deepcopy(DOCUMENT)
    schema = made["components"]["schemas"]["Thing"]
    schema.update(thing)
    made["components"]["schemas"]["Thing"] = {name: value for name, value in schema.items() if value is not None}
    return made


def operation(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["paths"]["/v1/small-things/{thing_id}"]["put"]
    return found


def test_what_keeps_the_rules_is_not_named() -> None:
    assert findings(DOCUMENT) == []


@pytest.mark.parametrize("path", ["/things", "/v1/Things", "/v1/small_things", "/v1/things/", "/v1/things/{thingId}"])
def test_a_path_in_another_style_is_named(path: str) -> None:
    made = document()
    made["paths"] = {path: {"put": operation(made)}}
    assert findings(made) == [f"PUT {path}: write the path as " + "/v1/small-words/{name_of_a_value}"]


def test_an_operation_without_a_tag_is_named() -> None:
    made = document()
    operation(made)["tags"] = []
    assert findings(made) == [f"{WHERE}: give its router a tag"]


def test_an_operation_that_does_not_say_what_it_does_is_named() -> None:
    made = document()
    operation(made)["summary"] = "Put"
    assert findings(made) == [f'{WHERE}: say what it does, as in summary="Get an invoice"']


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "string"}, "body.text"),
        ({"type": "integer", "minimum": 0}, "body.text"),
        ({"type": "number"}, "body.text"),
        ({"type": "array", "items": TEXT}, "body.text"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 9}, "body.text[]"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "body.text"),
        ({"type": "object", "properties": {"deep": {"type": "integer"}}}, "body.text.deep"),
    ],
)
def test_input_without_a_bound_is_named(schema: dict[str, Any], where: str) -> None:
    made = document(properties={"text": schema}, examples=[{}])
    [found] = findings(made)
    assert found.startswith(f"{WHERE}: {where} has no bound: give it one of ")


def test_a_parameter_without_a_bound_is_named() -> None:
    made = document()
    operation(made)["parameters"][0]["schema"] = {"type": "integer"}
    [found] = findings(made)
    assert found.startswith(f"{WHERE}: path parameter thing_id has no bound")


def test_a_body_without_an_example_is_named() -> None:
    missing = "has no example: add one to its model, or to each of its fields"
    assert findings(document(examples=None)) == [f"{WHERE}: body {missing}", f"{WHERE}: answer 200 {missing}"]


def test_a_shared_answer_without_an_example_is_named() -> None:
    made = document(examples=None)
    made["components"]["responses"] = {"Changed": {"content": CONTENT}}
    operation(made)["requestBody"] = {}
    operation(made)["responses"]["200"] = {"$ref": "#/components/responses/Changed"}
    assert findings(made) == [f"{WHERE}: answer 200 has no example: add one to its model, or to each of its fields"]


@pytest.mark.parametrize("field", [TEXT | {"examples": ["a"]}, {"enum": ["a"]}, {"type": "string", "format": "uuid"}])
def test_examples_of_all_fields_are_enough(field: dict[str, Any]) -> None:
    assert findings(document(examples=None, properties={"text": field})) == []


def test_an_example_beside_a_reference_is_enough() -> None:
    made = document(examples=None, properties={"text": {"$ref": "#/components/schemas/Text", "examples": ["a"]}})
    made["components"]["schemas"]["Text"] = TEXT
    assert findings(made) == []


@pytest.mark.parametrize("example", [{"text": 1}, {"text": "too long a text"}])
def test_an_example_that_does_not_hold_is_named(example: dict[str, Any]) -> None:
    [found] = findings(document(examples=[example]))
    assert found.startswith("Thing: its example is wrong, ")
