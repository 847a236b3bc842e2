"""The AsyncAPI document, which describes the integration events that other services read."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from pydantic.json_schema import models_json_schema

from chassis.dev.breaking import Json, schema_breaks
from chassis.dev.documents import Document, DocumentError
from chassis.dev.project import service
from chassis.events import IntegrationEvent, attributes_of

type Kind = type[IntegrationEvent]

KEPT = "Kept for a week in the JetStream stream {}-events; NATS_STREAM may name another."
ABOUT: Json = {
    "ce-id": {"type": "string", "description": "The same for what comes twice."},
    "ce-time": {"type": "string", "format": "date-time", "description": "When it happened."},
    "ce-requestid": {"type": "string", "description": "Of the request that caused it, as logs have it."},
}


def kinds() -> list[Kind]:
    """Find the integration events of all modules. Raises DocumentError when two have the same kind."""
    names = {f"{module.package}." for module in service().modules}
    found = sorted(
        (each for each in _below(IntegrationEvent) if f"{each.__module__}.".startswith(tuple(names))),
        key=lambda each: each.kind,
    )
    for first, second in pairwise(found):
        if first.kind == second.kind:
            raise DocumentError(f"{first.__name__} and {second.__name__} are both {first.kind}: rename one")
    return found


def _below(kind: Kind) -> Iterable[Kind]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def written() -> str:
    """Give the document of the code, as `just asyncapi` writes it."""
    return json.dumps(document(kinds()), indent=2, ensure_ascii=False) + "\n"


def document(described: Sequence[Kind]) -> dict[str, Any]:
    """Describe these as AsyncAPI 3.0 has it, a channel for each."""
    of = service()
    payloads, schemas = models_json_schema(
        [(kind, "serialization") for kind in described], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": of.title, "version": of.version, "description": of.description},
        "defaultContentType": "application/json",
        "channels": {kind.kind: _channel(kind) for kind in described},
        "operations": {f"announce.{kind.kind}": _operation(kind) for kind in described},
        "components": {
            "messages": {kind.kind: _message(kind, payloads[kind, "serialization"]) for kind in described},
            "schemas": schemas.get("$defs", {}),
        },
    }


def _channel(kind: Kind) -> Json:
    return {
        "address": f"{service().name}.events.{kind.kind}",
        "description": KEPT.format(service().name),
        "messages": {kind.kind: {"$ref": f"#/components/messages/{kind.kind}"}},
    }


def _operation(kind: Kind) -> Json:
    channel = f"#/channels/{kind.kind}"
    return {"action": "send", "channel": {"$ref": channel}, "messages": [{"$ref": f"{channel}/messages/{kind.kind}"}]}


def _message(kind: Kind, payload: Json) -> Json:
    fixed = {name: {"const": value} for name, value in attributes_of(service().name, kind).items()}
    return {
        "name": kind.kind,
        "summary": (kind.__doc__ or "").partition("\n")[0],
        "headers": {
            "type": "object",
            "properties": {**fixed, **ABOUT},
            "required": [*fixed, "ce-id", "ce-time"],
        },
        "payload": payload,
    }


def breaks(before: Json, after: Json) -> list[str]:
    """Name each break as `kind: what`."""
    found: list[str] = []
    for kind, earlier in before["components"]["messages"].items():
        later = after["components"]["messages"].get(kind)
        if later is None:
            found.append(f"{kind}: removed")
        else:
            found += schema_breaks(before, after, (earlier["payload"], later["payload"]), kind)
    return found


DOCUMENT = Document("asyncapi.json", "asyncapi", "subscriber", written, breaks)
