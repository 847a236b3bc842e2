"""Makes a value of a JSON schema, the same each time, with every field that it may have."""

from chassis.dev.breaking import ALTERNATIVES, Json

FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00Z",
    "uri": "https://example.org/",
    "uuid": "0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b",
    "uuid4": "6d1c9a3e-5b7f-4e2a-9c8d-1f0e2d3c4b5a",
    "uuid7": "0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b",
}
# The first that a number has, and how far from it a value is.
LIMITS = {"minimum": 0, "exclusiveMinimum": 1, "maximum": 0, "exclusiveMaximum": -1}
# A schema that contains itself ends here.
DEPTH = 8


def sample_of(schema: Json) -> object:
    """Make a value with the first example, value or type of each part; it may break a pattern or a second limit."""
    return _value(schema, schema.get("$defs", {}), 0)


def _value(schema: Json, definitions: Json, depth: int) -> object:
    given = [*schema.get("examples", ()), *schema.get("enum", ())]
    given += [schema[name] for name in ("const", "default") if schema.get(name) is not None]
    if given:
        return given[0]
    branches = [branch for name in ALTERNATIVES for branch in schema.get(name, ())]
    if "$ref" in schema:
        branches = [definitions[schema["$ref"].rpartition("/")[2]]]
    if branches:
        null = {"type": "null"}
        return None if depth > DEPTH and null in branches else _value(branches[0], definitions, depth + 1)
    make = {"array": _array, "object": _object}.get(schema.get("type", ""))
    return make(schema, definitions, depth) if make else _plain(schema)


def _object(schema: Json, definitions: Json, depth: int) -> object:
    fields = schema.get("properties", {})
    needed = schema.get("required", ()) if depth > DEPTH else fields
    made = {name: _value(part, definitions, depth + 1) for name, part in fields.items() if name in needed}
    values = schema.get("additionalProperties")
    if not fields and isinstance(values, dict) and depth <= DEPTH:
        made["a"] = _value(values, definitions, depth + 1)
    return made


def _array(schema: Json, definitions: Json, depth: int) -> object:
    parts = schema.get("prefixItems") or [schema.get("items", {})] * max(1, schema.get("minItems", 0))
    return [] if depth > DEPTH else [_value(part, definitions, depth + 1) for part in parts]


def _plain(schema: Json) -> object:
    match schema.get("type"):
        case "string":
            return FORMATS.get(schema.get("format", ""), "a" * max(1, schema.get("minLength", 0)))
        case "integer" | "number":
            return next((schema[name] + step for name, step in LIMITS.items() if name in schema), 1)
        case kind:
            return True if kind == "boolean" else None
