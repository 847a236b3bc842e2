"""openapi.json is held equal to the code, and a change that breaks clients has to be declared."""

import json
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from dev import openapi
from dev.breaking import breaks

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


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607  # as dev


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the document and a changelog, committed; the code is what `now` says."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / openapi.CHANGELOG).write_text("# Changelog\n")
    now(tmp_path, document(), monkeypatch)
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def now(project: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi, "written", lambda: json.dumps(whole))
    (project / openapi.DOCUMENT).write_text(json.dumps(whole))


def test_before_the_first_release_only_the_code_is_compared_with(project: Path) -> None:
    assert "there is no release yet" in openapi.check(project)
    (project / openapi.DOCUMENT).write_text("{}")
    with pytest.raises(openapi.DocumentError, match="not as the code: type `uv run just openapi`"):
        openapi.check(project)
    (project / openapi.DOCUMENT).unlink()
    with pytest.raises(openapi.DocumentError, match="is missing: type `uv run just openapi`"):
        openapi.check(project)


def test_what_does_not_keep_the_rules_is_said_and_passes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\n" not in openapi.check(project)
    now(project, changed("ordered properties text maxLength", None), monkeypatch)
    assert "\n- POST /v1/things: body.text has no bound" in openapi.check(project)


def test_a_break_fails_until_it_is_declared_for_this_release(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "- Breaking: POST /v1/things: answer 404 removed\n"
    (project / openapi.CHANGELOG).write_text("# Changelog\n\n## Unreleased\n\n- Breaking: something else\n")
    git(project, "commit", "--quiet", "--all", "--message", "Release")
    git(project, "tag", "v1.0.0")
    assert "breaks no client of v1.0.0" in openapi.check(project)
    now(project, changed("operation responses 404", None), monkeypatch)
    with pytest.raises(openapi.DocumentError) as raised:
        openapi.check(project)
    assert line.strip() in str(raised.value)
    with (project / openapi.CHANGELOG).open("a") as changelog:
        changelog.write(line)
    assert "breaks no client of v1.0.0" in openapi.check(project)
    now(project, document(), monkeypatch)
    git(project, "commit", "--quiet", "--all", "--message", "Release again")
    git(project, "tag", "v1.1.0")
    now(project, changed("operation responses 404", None), monkeypatch)
    with pytest.raises(openapi.DocumentError, match=r"breaks clients of v1\.1\.0"):
        openapi.check(project)
