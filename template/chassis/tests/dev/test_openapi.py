"""A change of the OpenAPI document that breaks clients is named, and what does not keep the rules."""

from copy import deepcopy
from typing import Any

import pytest

from chassis.dev import openapi
from chassis.dev.breaking import breaks

THING: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string", "format": "uuid"}, "state": {"enum": ["new", "old"]}},
    "required": ["id"],
    "examples": [{"id": "0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b"}],
}
ORDERED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "maxLength": 10, "minLength": 1},
        "tags": {"type": "array", "items": {}, "maxItems": 9},
    },
    "required": ["text"],
    "examples": [{"text": "a"}],
}


def document() -> dict[str, Any]:
    """Describe one route; each call gives another copy."""
    operation = {
        "tags": ["things"],
        "summary": "Order a thing",
        "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ordered"}}}},
        "responses": {
            "200": {
                "headers": {"ETag": {}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
            },
            "404": {},
        },
    }
    whole = {
        "paths": {"/v1/things": {"post": operation}},
        "components": {"schemas": {"Thing": THING, "Ordered": ORDERED}},
    }
    return deepcopy(whole)


def changed(path: str, value: object) -> dict[str, Any]:
    """Describe the route with one place set to another value, or taken out when it is None."""
    whole = document()
    places = {
        "operation": whole["paths"]["/v1/things"]["post"],
        "ok": whole["paths"]["/v1/things"]["post"]["responses"]["200"],
        "thing": whole["components"]["schemas"]["Thing"],
        "ordered": whole["components"]["schemas"]["Ordered"],
        "paths": whole["paths"],
    }
    first, *middle, last = path.split()
    place: Any = places[first]
    for name in middle:
        place = place[int(name) if isinstance(place, list) else name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return whole


LIMIT = {"name": "limit", "in": "query"}
BREAKS: list[tuple[str, object, str]] = [
    ("paths /v1/things", None, "removed"),
    ("operation responses 404", None, "answer 404 removed"),
    ("ok headers ETag", None, "header ETag of answer 200 removed"),
    ("ok content", {}, "answer 200 as application/json removed"),
    ("operation requestBody content", {}, "body as application/json removed"),
    ("operation requestBody required", True, "body required"),
    ("operation parameters", [], "query parameter limit removed"),
    ("operation parameters 0 required", True, "query parameter limit required"),
    ("operation parameters 0 schema maximum", 50, "query parameter limit: maximum is closer"),
    ("operation parameters 0 schema type", "string", "query parameter limit: type changed"),
    ("operation security", [{"key": ["write"]}], "other credentials or scopes required"),
    ("thing properties state", None, "answer 200: field state removed"),
    ("thing properties state enum", ["new", "old", "lost"], "answer 200.state: values changed"),
    ("thing properties state", {"type": "string"}, "answer 200.state: values changed"),
    ("thing properties id type", ["string", "null"], "answer 200.id: type changed"),
    ("thing properties id format", None, "answer 200.id: format changed"),
    ("thing required", [], "answer 200: field id no longer always there"),
    ("ordered required", ["text", "tags"], "body: field tags required"),
    ("ordered properties tags", None, "body: field tags removed"),
    ("ordered properties tags items", {"type": "string"}, "body.tags[]: type changed"),
    ("ordered properties text maxLength", 9, "body.text: maxLength is closer"),
    ("ordered properties text minLength", 2, "body.text: minLength is closer"),
    ("ordered properties text enum", ["a"], "body.text: values changed"),
    ("ordered properties text pattern", "^a", "body.text: format changed"),
]


@pytest.mark.parametrize(("path", "value", "said"), BREAKS, ids=[said for _, _, said in BREAKS])
def test_a_change_that_breaks_clients_is_named(path: str, value: object, said: str) -> None:
    assert f"POST /v1/things: {said}" in breaks(document(), changed(path, value))


REFERENCE = {"$ref": "#/components/schemas/Part"}
NESTED: dict[str, dict[str, Any]] = {
    ".part": REFERENCE,
    ".part[]": {"type": "array", "items": REFERENCE},
    ".part{}": {"type": "object", "additionalProperties": REFERENCE},
    ".part[1]": {"type": "array", "prefixItems": [{"type": "string"}, REFERENCE]},
    ".part.more": {"type": "object", "properties": {"more": {"anyOf": [REFERENCE, {"type": "null"}]}}},
}


@pytest.mark.parametrize("where", NESTED)
def test_a_break_is_found_wherever_a_schema_is_used(where: str) -> None:
    before, after = (changed("thing properties part", NESTED[where]) for _ in range(2))
    before["components"]["schemas"]["Part"] = {"type": "object", "properties": {"size": {"type": "integer"}}}
    after["components"]["schemas"]["Part"] = {"type": "object", "properties": {}}
    assert breaks(before, after) == [f"POST /v1/things: answer 200{where}: field size removed"]


def test_a_break_is_named_where_a_schema_is_met_first() -> None:
    before, after = (changed("thing properties", dict.fromkeys("zebra", REFERENCE)) for _ in range(2))
    before["components"]["schemas"]["Part"] = {"type": "object", "properties": {"size": {"type": "integer"}}}
    after["components"]["schemas"]["Part"] = {"type": "object", "properties": {}}
    assert breaks(before, after) == ["POST /v1/things: answer 200.z: field size removed"]


def shared(document: dict[str, Any]) -> dict[str, Any]:
    """Move the answer 200 to where answers are shared."""
    answers = document["paths"]["/v1/things"]["post"]["responses"]
    document["components"]["responses"] = {"Found": answers["200"]}
    answers["200"] = {"$ref": "#/components/responses/Found"}
    return document


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("thing properties state", "answer 200: field state removed"),
        ("ok headers ETag", "header ETag of answer 200 removed"),
        ("ok content application/json", "answer 200 as application/json removed"),
    ],
)
def test_a_break_behind_a_shared_answer_is_found(path: str, said: str) -> None:
    after = changed(path, None)
    for earlier, later in ((shared(document()), shared(deepcopy(after))), (document(), shared(deepcopy(after)))):
        assert breaks(earlier, later) == [f"POST /v1/things: {said}"]
    assert breaks(shared(document()), document()) == []


def test_alternatives_of_one_type_are_compared_one_by_one() -> None:
    identity, day = {"type": "string", "format": "uuid"}, {"type": "string", "format": "date"}
    one, two, other = ({"anyOf": each} for each in ([identity], [identity, day], [day, day]))
    at = "ordered properties text"
    assert breaks(changed(at, one), changed(at, two)) == []
    assert breaks(changed(at, two), changed(at, other)) == ["POST /v1/things: body.text: format changed"]


def test_a_schema_that_contains_itself_is_compared_once() -> None:
    before, after = (changed("thing properties part", {"$ref": "#/components/schemas/Thing"}) for _ in range(2))
    assert breaks(before, after) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("paths /v2/things", {"get": {"responses": {}}}),
        ("operation responses 409", {}),
        ("operation parameters 0 schema maximum", 200),
        ("ok headers Location", {}),
        ("thing properties more", {"type": "string"}),
        ("thing properties state enum", ["new"]),
        ("ordered properties more", {"type": "string"}),
        ("ordered properties text maxLength", 11),
        ("ordered properties text minLength", None),
        ("ordered properties text type", ["string", "null"]),
        ("ordered required", []),
    ],
)
def test_a_change_that_breaks_nobody_is_free(path: str, value: object) -> None:
    assert breaks(document(), changed(path, value)) == []


def test_what_does_not_keep_the_rules_is_said() -> None:
    assert openapi.advice(document()) == ""
    assert "\n- POST /v1/things: body.text has no bound" in openapi.advice(
        changed("ordered properties text maxLength", None)
    )
