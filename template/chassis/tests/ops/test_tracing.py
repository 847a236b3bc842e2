"""Spans: where they belong, what they say, and that nothing is recorded without a recorded parent."""

import re

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from chassis.ops import entry_span, inject, is_recorded, span, span_id, trace_id, traceparent

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-00"}


def test_a_trace_goes_on_below_its_caller(recorded: InMemorySpanExporter) -> None:
    with entry_span("GET", "server", SAMPLED), span("step") as step:
        step.set_attribute("number", 1)
    inner, outer = recorded.get_finished_spans()
    assert inner.parent
    assert inner.context
    assert outer.parent
    assert outer.context
    assert [f"{each.trace_id:032x}" for each in (inner.context, outer.context)] == [TRACE, TRACE]
    assert (f"{outer.parent.span_id:016x}", inner.parent.span_id) == (CALLER, outer.context.span_id)
    assert (inner.name, dict(inner.attributes or {})) == ("step", {"number": 1})


@pytest.mark.usefixtures("recorded")
def test_ids_are_those_of_the_entry_and_end_with_it() -> None:
    before = trace_id.get(), span_id.get(), traceparent()
    with entry_span("GET", "server", SAMPLED):
        assert trace_id.get() == TRACE
        assert span_id.get() != CALLER
        assert traceparent() == f"00-{TRACE}-{span_id.get()}-01"
    assert (trace_id.get(), span_id.get(), traceparent()) == before


def test_below_a_caller_that_is_not_recorded_nothing_is(recorded: InMemorySpanExporter) -> None:
    with entry_span("GET", "server", UNSAMPLED), span("step"):
        assert not is_recorded()
        assert traceparent().startswith(f"00-{TRACE}-")
        assert traceparent().endswith("-00")
    assert recorded.get_finished_spans() == ()


def test_without_a_caller_a_trace_begins() -> None:
    begun: list[str] = []
    for _ in range(2):
        with entry_span("GET", "server", {"traceparent": ""}):
            begun.append(traceparent())
    assert all(re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[02]", each) for each in begun)
    assert begun[0] != begun[1]


def test_an_entry_does_not_go_on_with_what_surrounds_it() -> None:
    with entry_span("GET", "server", SAMPLED), entry_span("tick", "producer", {}):
        assert trace_id.get() != TRACE


def test_the_state_of_the_trace_is_passed_on() -> None:
    headers: dict[str, str] = {}
    with entry_span("GET", "server", SAMPLED):
        inject(headers)
    assert headers["tracestate"] == "vendor=1"


def test_an_error_leaves_its_class_and_not_its_message(recorded: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="hunter2"), entry_span("GET", "server", SAMPLED), span("step"):
        raise ValueError("hunter2")
    for each in recorded.get_finished_spans():
        assert (each.attributes or {})["error.type"] == "ValueError"
        assert each.status.status_code is StatusCode.ERROR
        assert "hunter2" not in each.to_json()


def test_a_link_names_another_span(recorded: InMemorySpanExporter) -> None:
    with entry_span("process", "consumer", SAMPLED, links=[f"00-{TRACE}-{'1' * 16}-01"]):
        pass
    [found] = recorded.get_finished_spans()
    assert [f"{link.context.span_id:016x}" for link in found.links] == ["1" * 16]
