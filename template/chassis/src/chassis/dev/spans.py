"""Reads spans as OTLP sends them over HTTP; needs the extra `otel`."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

type Value = str | int | float | bool

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
FAILED = 2


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span; times are nanoseconds since 1970, and `parent_id` of a root is empty."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    started: int
    ended: int
    is_failed: bool
    # Of its process, as in `service.name`.
    resource: dict[str, Value] = field(default_factory=dict[str, Value])
    attributes: dict[str, Value] = field(default_factory=dict[str, Value])
    # Ids of spans.
    links: tuple[str, ...] = ()


def read_spans(body: bytes, encoding: str) -> Iterator[ReceivedSpan]:
    """Read the body of an OTLP request in protobuf. Raises google.protobuf.message.DecodeError or OSError."""
    request = ExportTraceServiceRequest.FromString(gzip.decompress(body) if encoding == "gzip" else body)
    for group in request.resource_spans:
        resource = dict(map(_read, group.resource.attributes))
        for scope in group.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    kind=KINDS[span.kind],
                    started=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    is_failed=span.status.code == FAILED,
                    resource=resource,
                    attributes=dict(map(_read, span.attributes)),
                    links=tuple(link.span_id.hex() for link in span.links),
                )


def _read(pair: KeyValue) -> tuple[str, Value]:
    kind = pair.value.WhichOneof("value")
    value = getattr(pair.value, kind) if kind else ""
    return pair.key, value if isinstance(value, (str, int, float, bool)) else str(value)
