"""`messages.json`: the names of the handlers, and what their jobs have looked like, since some may still be queued.

Of each handler it has the JSON schema of its message, and payloads of each version. An earlier payload that today's
code does not read, and a handler that is gone, fail the check: their jobs would become dead letters. An entry is taken
out by hand, once none of its jobs can be queued any more.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from chassis.dev.breaking import Json, schema_breaks
from chassis.dev.documents import DocumentError
from chassis.dev.project import project_folder, service
from chassis.dev.samples import sample_of
from chassis.jobs import Handler, Payload, read_payload
from chassis.runtime import handlers_of

FILE = "messages.json"
RECIPE = "uv run just messages"
ADVICE = f"""\
Jobs that are queued would become dead letters:

{{}}

Raise the `version` of the message, and let its `upgrade` read the earlier payload; give a handler that was renamed or
moved its earlier name with `name=`. What can no longer be queued is taken out of {FILE} by hand. See docs/jobs.md.\
"""


def recorded() -> dict[str, Any]:
    """Read the file; without one, nothing is recorded. Raises DocumentError."""
    file = project_folder() / FILE
    if not file.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DocumentError(f"{FILE} is not JSON: resolve its conflicts, then type `{RECIPE}` ({error})") from None
    return found


def breaks(handlers: Iterable[Handler], records: Json) -> Iterator[str]:
    """Name what would make dead letters of queued jobs, as `handler: what`."""
    kinds = {handler.name: handler.message for handler in handlers}
    for name, record in records.items():
        if name not in kinds:
            yield f"{name}: no handler has this name"
            continue
        kind, schema = kinds[name], record["schema"]
        found: list[str] = []
        if kind.delivery.version == max(map(int, record["payloads"]), default=0):
            later = kind.model_json_schema()
            found = schema_breaks(schema, later, (schema, later), name, request=True)
        yield from found or unreadable(name, kind, record["payloads"])


def unreadable(name: str, kind: type[Payload], payloads: Mapping[str, Iterable[Json]]) -> Iterator[str]:
    """Name the versions of which a recorded payload is not read."""
    for version, samples in payloads.items():
        for sample in samples:
            try:
                read_payload(kind, json.dumps(sample).encode(), int(version))
            except Exception as error:  # noqa: BLE001  # as the worker
                yield f"{name}: a payload of version {version} is not read: {_reason(error.__cause__ or error)}"
                break


def _reason(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return f"{type(error).__name__}: {error}"


def updated(handlers: Iterable[Handler], records: Json) -> dict[str, Any]:
    """Add what the code has to what is recorded. Raises DocumentError."""
    return {
        handler.name: _record(handler, records.get(handler.name, {}))
        for handler in sorted(handlers, key=lambda each: each.name)
    }


def _record(handler: Handler, before: Json) -> Json:
    kind, version = handler.message, str(handler.message.delivery.version)
    schema, payloads = kind.model_json_schema(), before.get("payloads", {})
    if before.get("schema") == schema and version in payloads:
        return before
    payload = _payload(handler.name, kind, schema)
    samples = payloads.get(version, [])
    return {"schema": schema, "payloads": {**payloads, version: samples if payload in samples else [*samples, payload]}}


def _payload(name: str, kind: type[Payload], schema: Json) -> object:
    """Make a payload as it is on the queue. Raises DocumentError."""
    try:
        queued = kind.model_validate_json(json.dumps(sample_of(schema))).model_dump_json()
        read_payload(kind, queued.encode(), kind.delivery.version)
    except Exception as error:
        reason = _reason(error.__cause__ or error)
        advice = "give its fields an example that is valid, as in `Field(examples=[...])`"
        raise DocumentError(f"{name}: no payload of {kind.__name__} can be made, {advice} ({reason})") from error
    payload: object = json.loads(queued)
    return payload


def write() -> None:
    """Record what the code has. Raises DocumentError, and changes nothing, if that would hide a break."""
    handlers, records = handlers_of(service().modules), recorded()
    _require_no_break(handlers, records)
    _save(updated(handlers, records))


def check() -> str:
    """Compare the file with the code; answer what was compared. Raises DocumentError."""
    handlers, records = handlers_of(service().modules), recorded()
    _require_no_break(handlers, records)
    if updated(handlers, records) != records:
        raise DocumentError(f"{FILE} is not up to date with the code: type `{RECIPE}`, and commit it")
    return f"{FILE} matches the code, which reads every payload in it."


def forget(modules: Iterable[str]) -> None:
    """Take out the handlers of modules that are removed."""
    gone = set(modules)
    _save({name: record for name, record in recorded().items() if name.partition(".")[0] not in gone})


def _require_no_break(handlers: Iterable[Handler], records: Json) -> None:
    if found := list(breaks(handlers, records)):
        raise DocumentError(ADVICE.format("\n".join(f"- {each}" for each in found)))


def _save(records: Json) -> None:
    (project_folder() / FILE).write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
