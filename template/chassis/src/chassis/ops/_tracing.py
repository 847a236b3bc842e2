"""Spans, by OpenTelemetry. Without its SDK nothing is recorded, and only the ids of the trace are passed on.

A span has no value that a caller has sent, and no message of an error: both may contain secrets, and the log has them.
"""

import random
import re
from collections.abc import Generator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

type Kind = Literal["client", "consumer", "internal", "producer", "server"]
type Attributes = Mapping[str, str | int | float | bool]

# IDs of the current trace and span, for log lines (W3C Trace Context, sections 3.2.2.3 and 3.2.2.4).
trace_id: ContextVar[str] = ContextVar("trace_id", default="")
span_id: ContextVar[str] = ContextVar("span_id", default="")

NOTHING: Attributes = {}
# The form in which the queue keeps the id of an unrecorded trace. Another service would read a complete traceparent as
# the decision not to record, and follow it.
UNRECORDED = re.compile(r"00-([0-9a-f]{32})-0{16}-00")
_tracer = trace.get_tracer("chassis")
_propagator = TraceContextTextMapPropagator()


class _Ids(NonRecordingSpan):
    """The ids of a trace that began here without the SDK; they are for log lines only."""


@contextmanager
def entry_span(
    name: str, kind: Kind, parents: Mapping[str, str], attributes: Attributes = NOTHING, links: Sequence[str] = ()
) -> Generator[Span]:
    """Continue the trace of a `traceparent` (and `tracestate`) in `parents`, or start one; `links` are traceparents."""
    context = _propagator.extract(parents, Context())
    linked = [Link(_context_of(link)) for link in links]
    span = _tracer.start_span(name, context, SpanKind[kind.upper()], attributes, linked)
    if not span.get_span_context().is_valid:
        known = UNRECORDED.fullmatch(parents.get("traceparent", ""))
        trace_number = int(known[1], 16) if known else random.getrandbits(128)
        span = _Ids(SpanContext(trace_number, random.getrandbits(64), is_remote=False))
    ids = span.get_span_context()
    attached = attach(trace.set_span_in_context(span, context))
    tokens = trace_id.set(f"{ids.trace_id:032x}"), span_id.set(f"{ids.span_id:016x}")
    try:
        yield span
    except BaseException as error:
        fail(span, error)
        raise
    finally:
        trace_id.reset(tokens[0])
        span_id.reset(tokens[1])
        detach(attached)
        span.end()


@contextmanager
def span(name: str, kind: Kind = "internal", attributes: Attributes = NOTHING) -> Generator[Span]:
    """Record the block as a child of the current span, if that span is recorded."""
    if not is_recorded():
        yield trace.INVALID_SPAN
        return
    with _tracer.start_as_current_span(
        name, None, SpanKind[kind.upper()], attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            fail(span, error)
            raise


def fail(span: Span, error: BaseException | str) -> None:
    """Mark a span as failed, with the class of the error or a low-cardinality string."""
    kind = error if isinstance(error, str) else type(error).__qualname__
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def is_recorded() -> bool:
    """Tell whether the current span is recorded."""
    return trace.get_current_span().is_recording()


def traceparent() -> str:
    """Return the traceparent of the current span; empty outside a trace."""
    span = trace.get_current_span()
    if isinstance(span, _Ids):
        return f"00-{span.get_span_context().trace_id:032x}-{'0' * 16}-00"
    headers: dict[str, str] = {}
    _propagator.inject(headers)
    return headers.get("traceparent", "")


def inject(headers: MutableMapping[str, str]) -> None:
    """Add the trace context headers to an outgoing request."""
    if not isinstance(trace.get_current_span(), _Ids):
        _propagator.inject(headers)


def _context_of(traceparent: str) -> SpanContext:
    context = _propagator.extract({"traceparent": traceparent}, Context())
    return trace.get_current_span(context).get_span_context()
