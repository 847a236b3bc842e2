"""The AsyncAPI document: the integration events that this service announces, and those that it subscribes to."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chassis.dev.breaking import Json, schema_breaks
from chassis.dev.documents import Document, DocumentError
from chassis.dev.project import service
from chassis.events import IntegrationEvent, attributes_of, subject_of
from chassis.jobs import Subscription
from chassis.runtime import subscriptions_of

type Kind = type[IntegrationEvent]

KEPT = "Kept for a week in the JetStream stream {}-events, unless another stream has this subject."
ABOUT: Json = {
    "ce-id": {"type": "string", "description": "The same for an event that comes twice."},
    "ce-time": {"type": "string", "format": "date-time", "description": "When it happened."},
    "ce-partitionkey": {"type": "string", "description": "Events with the same key are in order."},
    "ce-requestid": {"type": "string", "description": "Of the request that caused it, as in the logs."},
    "ce-traceparent": {"type": "string", "description": "Of the trace that caused it (W3C Trace Context)."},
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
    """Return the document of the code, as `just asyncapi` writes it."""
    return json.dumps(document(kinds(), subscriptions_of(service().modules)), indent=2, ensure_ascii=False) + "\n"


def document(announced: Sequence[Kind], subscribed: Sequence[Subscription]) -> dict[str, Any]:
    """Describe them as AsyncAPI 3.0 has it: channels to which this service sends, and from which it receives."""
    of = service()
    models: list[tuple[type[BaseModel], Literal["serialization", "validation"]]] = [
        *((kind, "serialization") for kind in announced),
        *((each.handler.message, "validation") for each in subscribed),
    ]
    payloads, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")
    sent = {kind.kind: _sent(kind, payloads[kind, "serialization"]) for kind in announced}
    received = {each.handler.name: _received(each, payloads[each.handler.message, "validation"]) for each in subscribed}
    channels = {kind: _channel(f"{of.name}.{kind}", [kind], description=KEPT.format(of.name)) for kind in sent}
    for event_type in {each.event_type for each in subscribed}:
        names = [each.handler.name for each in subscribed if each.event_type == event_type]
        channels[event_type] = _channel(event_type, names)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": of.title, "version": of.version, "description": of.description},
        "defaultContentType": "application/json",
        "channels": dict(sorted(channels.items())),
        "operations": {
            **{f"announce.{kind}": _operation("send", kind, kind) for kind in sent},
            **{
                f"handle.{each.handler.name}": _operation("receive", each.event_type, each.handler.name)
                for each in subscribed
            },
        },
        "components": {"messages": sent | received, "schemas": schemas.get("$defs", {})},
    }


def _channel(event_type: str, names: Sequence[str], **more: str) -> Json:
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in names}
    return {"address": subject_of(event_type), **more, "messages": messages}


def _operation(action: str, channel: str, name: str) -> Json:
    path = f"#/channels/{channel}"
    return {"action": action, "channel": {"$ref": path}, "messages": [{"$ref": f"{path}/messages/{name}"}]}


def _sent(kind: Kind, payload: Json) -> Json:
    fixed = {name: {"const": value} for name, value in attributes_of(service().name, kind.kind).items()}
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


def _received(subscription: Subscription, payload: Json) -> Json:
    summary = (subscription.handler.message.__doc__ or "").partition("\n")[0]
    return {"name": subscription.event_type, "summary": summary, "payload": payload}


def breaks(before: Json, after: Json) -> list[str]:
    """Name each break of what is announced as `kind: what`."""
    found: list[str] = []
    for kind, earlier in before["components"]["messages"].items():
        if f"announce.{kind}" not in before["operations"]:
            continue
        later = after["components"]["messages"].get(kind)
        if later is None:
            found.append(f"{kind}: removed")
        else:
            found += schema_breaks(before, after, (earlier["payload"], later["payload"]), kind)
    return found


DOCUMENT = Document("asyncapi.json", "asyncapi", "subscriber", written, breaks)
