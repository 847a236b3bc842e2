"""The page of recent traces: what it shows, in which order, and that nothing in it is taken for HTML."""

import gzip
import os

import pytest
from httpx import ASGITransport, AsyncClient
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from chassis.dev.spans import ReceivedSpan
from chassis.dev.traces import MAX_SPANS, MAX_TRACES, Traces, collecting
from chassis.dev.traces_page import in_order


def some_spans() -> bytes:
    """Encode a request with a statement that fails, as the exporter of a process does."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"chassis.process": "api"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    request = tracer.start_span("GET /v1/<b>", kind=SpanKind.SERVER)
    statement = tracer.start_span(
        "SELECT notes", set_span_in_context(request), SpanKind.CLIENT, {"db.query.text": "<i>"}
    )
    statement.set_status(StatusCode.ERROR)
    statement.end()
    request.end()
    return encode_spans(exporter.get_finished_spans()).SerializeToString()


async def test_what_a_process_sends_is_shown() -> None:
    traces = Traces()
    body = gzip.compress(some_spans())
    async with AsyncClient(transport=ASGITransport(traces.application()), base_url="http://traces") as client:
        assert "Send a request" in (await client.get("/")).text
        assert (await client.post("/v1/traces", content=body, headers={"Content-Encoding": "gzip"})).status_code == 200
        assert (await client.post("/v1/traces", content=b"nonsense")).status_code == 400
        shown = (await client.get("/")).text
    [[first, second]] = [[span for span, _ in in_order(spans)] for spans in traces]
    assert (first.name, first.kind, first.is_failed) == ("GET /v1/<b>", "server", False)
    assert (second.name, second.kind, second.is_failed) == ("SELECT notes", "client", True)
    assert second.parent_id == first.span_id
    assert "GET /v1/&lt;b&gt;" in shown
    assert "<i>" not in shown.replace("<i style", "")
    assert shown.index("GET /v1") < shown.index("SELECT notes")


def span_of(trace: str, name: str, parent: str, started: int) -> ReceivedSpan:
    return ReceivedSpan(trace, name, parent, name, "internal", started, started + 1, is_failed=False)


def test_spans_stand_below_their_parents_in_the_order_of_time() -> None:
    spans = [
        span_of("t", "c", "a", 3),
        span_of("t", "b", "a", 2),
        span_of("t", "a", "gone", 1),
        span_of("t", "d", "b", 4),
    ]
    assert [(span.name, depth) for span, depth in in_order(spans)] == [("a", 0), ("b", 1), ("d", 2), ("c", 1)]


def test_recent_traces_are_kept_the_newest_first() -> None:
    traces = Traces()
    for number in range(MAX_TRACES + 5):
        traces.add([span_of(str(number), "a", "", number)])
    traces.add([span_of("10", "late", "a", 99)])
    kept = [spans[0].trace_id for spans in traces]
    assert (len(kept), kept[:2]) == (MAX_TRACES, ["10", str(MAX_TRACES + 4)])


def test_a_long_trace_keeps_its_newest_spans() -> None:
    """Its first span ends last, and is shown."""
    traces = Traces()
    traces.add(span_of("t", str(number), "root", number) for number in range(1, MAX_SPANS + 5))
    traces.add([span_of("t", "root", "", 0)])
    [kept] = traces
    assert (len(kept), kept[0].name, kept[-1].name) == (MAX_SPANS, "6", "root")


async def test_processes_are_told_where_to_send_their_spans_unless_they_send_them_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_BSP_SCHEDULE_DELAY"):
        monkeypatch.setenv(name, "")  # to be put back after the test
        monkeypatch.delenv(name)
    async with collecting() as url:
        assert os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == url
        assert os.environ["OTEL_TRACES_SAMPLER"] == "always_on"
        async with AsyncClient() as client:
            assert "Recent traces" in (await client.get(url)).text
        async with collecting() as second:
            assert second == ""
