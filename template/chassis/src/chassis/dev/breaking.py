"""Compares two documents and names each change that breaks who relies on the earlier one."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

type Json = Mapping[str, Any]

# Limits that a request has to keep; a closer one breaks who has kept the earlier.
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
ALTERNATIVES = ("anyOf", "oneOf", "allOf")


def breaks(before: Json, after: Json) -> list[str]:
    """Compare OpenAPI documents; name each break as `METHOD /path: what`."""
    found: list[str] = []
    for path, operations in before["paths"].items():
        for method, operation in operations.items():
            later = after["paths"].get(path, {}).get(method)
            said = ["removed"] if later is None else _Comparison(before, after).operation(operation, later)
            found += [f"{method.upper()} {path}: {what}" for what in said]
    return list(dict.fromkeys(found))


def schema_breaks(
    before: Json, after: Json, schemas: tuple[Json, Json], where: str, *, request: bool = False
) -> list[str]:
    """Compare a schema of each document; name each break of what is read, or taken, as `where.field: what`."""
    return list(_Comparison(before, after).schemas(*schemas, where, request=request))


class _Comparison:
    """Two documents, in which references are followed, each pair of schemas once."""

    def __init__(self, before: Json, after: Json) -> None:
        self._before, self._after = before, after
        self._seen: set[tuple[int, int, bool]] = set()

    def operation(self, before: Json, after: Json) -> Iterator[str]:
        yield from self._parameters(before, after)
        yield from self._body(before.get("requestBody", {}), after.get("requestBody", {}))
        for status in before["responses"]:
            if status not in after["responses"]:
                yield f"answer {status} removed"
                continue
            answer = _resolved(self._before, before["responses"][status])
            later = _resolved(self._after, after["responses"][status])
            yield from (f"header {name} of answer {status} removed" for name in _gone(answer, later, "headers"))
            yield from self._contents(answer, later, f"answer {status}", request=False)
        if after.get("security") and after.get("security") != before.get("security"):
            yield "other credentials or scopes required"

    def _parameters(self, before: Json, after: Json) -> Iterator[str]:
        earlier, later = (
            {(each["in"], each["name"].lower()): each for each in document.get("parameters", ())}
            for document in (before, after)
        )
        for key, parameter in later.items():
            name = f"{key[0]} parameter {parameter['name']}"
            if parameter.get("required") and not earlier.get(key, {}).get("required"):
                yield f"{name} required"
            if key in earlier:
                yield from self.schemas(earlier[key]["schema"], parameter["schema"], name, request=True)
        yield from (f"{where} parameter {name} removed" for where, name in earlier.keys() - later.keys())

    def _body(self, before: Json, after: Json) -> Iterator[str]:
        if after.get("required") and not before.get("required"):
            yield "body required"
        yield from self._contents(before, after, "body", request=True)

    def _contents(self, before: Json, after: Json, where: str, *, request: bool) -> Iterator[str]:
        yield from (f"{where} as {kind} removed" for kind in _gone(before, after, "content"))
        for kind in _kept(before.get("content", {}), after.get("content", {})):
            schemas = before["content"][kind].get("schema", {}), after["content"][kind].get("schema", {})
            yield from self.schemas(*schemas, where, request=request)

    def schemas(self, before: Json, after: Json, where: str, *, request: bool) -> Iterator[str]:
        before, after = _resolved(self._before, before), _resolved(self._after, after)
        key = (id(before), id(after), request)
        if key in self._seen:
            return
        self._seen.add(key)
        yield from _kinds(before, after, where, request=request)
        yield from _limits(before, after, where, request=request)
        yield from self._fields(before, after, where, request=request)
        earlier, later = _parts(before), _parts(after)
        for name in _kept(earlier, later):
            yield from self.schemas(earlier[name], later[name], f"{where}{name[0]}", request=request)

    def _fields(self, before: Json, after: Json, where: str, *, request: bool) -> Iterator[str]:
        earlier, later = before.get("properties", {}), after.get("properties", {})
        must, must_now = set(before.get("required", ())), set(after.get("required", ()))
        for name in earlier.keys() - later.keys():
            yield f"{where}: field {name} removed"
        if request:
            yield from (f"{where}: field {name} required" for name in must_now - must)
        else:
            yield from (f"{where}: field {name} no longer always there" for name in (must - must_now) & later.keys())
        for name in _kept(earlier, later):
            yield from self.schemas(earlier[name], later[name], f"{where}.{name}", request=request)


def _kept[Name](before: Mapping[Name, Any], after: Mapping[Name, Any]) -> list[Name]:
    """Name what both have, in one order: a schema that is used twice is compared where it is met first."""
    return [name for name in before if name in after]


def _gone(before: Json, after: Json, part: str) -> list[str]:
    return sorted(before.get(part, {}).keys() - after.get(part, {}).keys())


def _resolved(document: Json, part: Json) -> Json:
    """Follow the reference of a schema or an answer; what stands beside it is of no weight here, as problem types."""
    while reference := part.get("$ref"):
        found: Any = document
        for name in cast("str", reference).removeprefix("#/").split("/"):
            found = found[name.replace("~1", "/").replace("~0", "~")]
        part = found
    return part


def _parts(schema: Json) -> Mapping[tuple[str, str], Json]:
    """Give its parts but for its fields, by what the path goes on with and by what tells alternatives apart."""
    parts = {("[]", ""): schema.get("items"), ("{}", ""): schema.get("additionalProperties")}
    parts |= {(f"[{number}]", ""): part for number, part in enumerate(schema.get("prefixItems", ()))}
    alike: dict[str, list[Json]] = {}
    for branch in (branch for name in ALTERNATIVES for branch in schema.get(name, ())):
        alike.setdefault(str(branch.get("$ref", branch.get("type"))), []).append(branch)
    for kind, branches in alike.items():
        parts |= {("", f"{kind} {number} of {len(branches)}"): branch for number, branch in enumerate(branches)}
    return {name: part for name, part in parts.items() if isinstance(part, dict)}


def _kinds(before: Json, after: Json, where: str, *, request: bool) -> Iterator[str]:
    """Compare types, formats and values: a request may have no fewer than before, an answer no more."""
    for part, read in (("type", _types), ("values", _values)):
        earlier, later = read(before), read(after)
        allowed, needed = (later, earlier) if request else (earlier, later)
        if allowed and (not needed or not needed <= allowed):  # an empty set is one without limits
            yield f"{where}: {part} changed"
    if before.get("format") != after.get("format") or (request and before.get("pattern") != after.get("pattern")):
        yield f"{where}: format changed"


def _types(schema: Json) -> AbstractSet[str]:
    kinds = {kind for branch in schema.get("anyOf", ()) for kind in _types(branch) or {str(branch.get("$ref"))}}
    named = schema.get("type", ())
    return kinds | ({named} if isinstance(named, str) else set(named))


def _values(schema: Json) -> AbstractSet[str]:
    listed = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return {str(value) for value in listed}


def _limits(before: Json, after: Json, where: str, *, request: bool) -> Iterator[str]:
    if not request:
        return
    for name in (*UPPER, *LOWER):
        earlier, later = before.get(name), after.get(name)
        closer = later is not None and (earlier is None or (later < earlier if name in UPPER else later > earlier))
        if closer:
            yield f"{where}: {name} is closer"
