"""Exports spans by OTLP over HTTP, in a thread of its own; needs the extra `otel`."""

import asyncio
from collections.abc import Mapping
from threading import Thread

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

# For the last spans, when the process ends.
STOP_SECONDS = 2.0


def start(resource: Mapping[str, str]) -> TracerProvider:
    """Record and export spans from now on, those of libraries too; OTEL_RESOURCE_ATTRIBUTES override `resource`."""
    described = Resource.create(resource).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=described, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


async def stop(provider: TracerProvider) -> None:
    """Flush the remaining spans, for at most STOP_SECONDS."""
    stopping = Thread(target=provider.shutdown, daemon=True)
    stopping.start()
    await asyncio.to_thread(stopping.join, STOP_SECONDS)
