"""Rules for the OpenAPI document beyond its validity: names of one style, input with bounds, examples that hold."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from jsonschema_rs import Draft202012Validator

type Json = Mapping[str, Any]

PATH = re.compile(r"/v[1-9][0-9]*(/[a-z0-9]+(-[a-z0-9]+)*|/\{[a-z][a-z0-9_]*\})+")
# Any of these bounds a value of that type.
BOUNDS: Mapping[str, tuple[str, ...]] = {
    "string": ("maxLength", "enum", "const", "format", "pattern"),
    "integer": ("maximum", "exclusiveMaximum", "enum", "const"),
    "number": ("maximum", "exclusiveMaximum", "enum", "const"),
    "array": ("maxItems",),
}
# These show by themselves what a value looks like.
TELLING = ("example", "examples", "enum", "const", "default", "format")


def findings(document: Json) -> list[str]:
    """Name each breach as `METHOD /path: what`, or by the schema that it is in."""
    rules = _Rules(document)
    found = list(rules.schemas())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            found += [f"{method.upper()} {path}: {what}" for what in rules.operation(path, operation)]
    return found


class _Rules:
    def __init__(self, document: Json) -> None:
        self._components = document.get("components", {})

    def schemas(self) -> Iterator[str]:
        for name, schema in self._components.get("schemas", {}).items():
            validator = Draft202012Validator(schema | {"components": self._components}, validate_formats=True)
            for example in schema.get("examples", ()):
                for error in validator.iter_errors(example):
                    yield f"{name}: its example is wrong, {error.message}"

    def operation(self, path: str, operation: Json) -> Iterator[str]:
        if not PATH.fullmatch(path):
            yield "write the path as /v1/small-words/{name_of_a_value}"
        if not operation.get("tags"):
            yield "give its router a tag"
        if " " not in operation.get("summary", ""):  # made of the function's name, such as `Get`
            yield 'say what it does, as in summary="Get an invoice"'
        for parameter in operation.get("parameters", ()):
            if parameter["in"] != "header":  # the server bounds them all
                yield from self._unbounded(parameter["schema"], f"{parameter['in']} parameter {parameter['name']}")
        for content in operation.get("requestBody", {}).get("content", {}).values():
            yield from self._unbounded(content["schema"], "body")
            yield from self._unillustrated(content, "body")
        for status, answer in operation["responses"].items():
            for content in self._resolved(answer).get("content", {}).values() if status < "3" else ():
                yield from self._unillustrated(content, f"answer {status}")

    def _unbounded(self, schema: Json, where: str) -> Iterator[str]:
        """Find what a caller may send without end."""
        schema = self._resolved(schema)
        for kind, bounds in BOUNDS.items():
            if schema.get("type") == kind and not any(name in schema for name in bounds):
                yield f"{where} has no bound: give it one of {', '.join(bounds)}"
        for name, field in schema.get("properties", {}).items():
            yield from self._unbounded(field, f"{where}.{name}")
        for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
            yield from self._unbounded(part, where)
        if "items" in schema:
            yield from self._unbounded(schema["items"], f"{where}[]")

    def _unillustrated(self, content: Json, where: str) -> Iterator[str]:
        if not ("example" in content or "examples" in content or self._is_telling(content.get("schema", {}))):
            yield f"{where} has no example: add one to its model, or to each of its fields"

    def _is_telling(self, schema: Json) -> bool:
        schema = self._resolved(schema)
        fields = cast("Json", schema.get("properties", {}))
        return (
            any(name in schema for name in TELLING)
            or schema.get("type") in {"boolean", "null"}
            or ("items" in schema and self._is_telling(schema["items"]))
            or (bool(fields) and all(map(self._is_telling, fields.values())))
        )

    def _resolved(self, part: Json) -> Json:
        """Follow the reference of a schema or an answer, and keep what stands beside it."""
        while "$ref" in part:
            *_, room, name = part["$ref"].split("/")
            beside = {key: value for key, value in part.items() if key != "$ref"}
            part = {**self._components[room][name], **beside}
        return part
