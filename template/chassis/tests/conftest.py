"""The fixtures are the chassis's own, over the sample service."""

import logging
import sys
from collections.abc import Generator

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, StaticSampler

pytest_plugins = ["chassis.testing"]


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    """Keep the spans below a recorded parent, and no others: a process has one provider for as long as it lives."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(ParentBased(StaticSampler(Decision.DROP)), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def recorded(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


@pytest.fixture
def kept_logs(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Put the configuration of logging back after the test."""
    root = logging.getLogger()
    handlers, level, configuration = root.handlers, root.level, structlog.get_config()
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**configuration)
