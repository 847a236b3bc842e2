"""A trace goes on through an event to the job that it becomes."""

import asyncio

from nats.js import JetStreamContext
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis.data import Caller, Database
from chassis.events import ExternalEvent, announce, subscribe
from chassis.jobs import Outbox, Transaction

from tests.events.conftest import SERVICE, Running, SampleTaken

CALLER = "00f067aa0ba902b7"
SAMPLED = Caller(traceparent=f"00-0af7651916cd43dd8448eb211c80319c-{CALLER}-01")

received = asyncio.Event()


class Taken(ExternalEvent):
    text: str


async def on_taken(_event: Taken, _transaction: Transaction) -> None:
    received.set()


async def test_the_job_of_an_event_belongs_to_the_trace_that_announced_it(
    database: Database, operator: JetStreamContext, running: Running, recorded: InMemorySpanExporter
) -> None:
    del operator
    async with Outbox(database, []).transaction(SAMPLED) as transaction:
        await announce(transaction, SampleTaken())
    async with asyncio.timeout(30), running(subscribe(f"{SERVICE}.samples.taken.v1", Taken, on_taken)):
        await received.wait()
    spans = {span.name: span for span in recorded.get_finished_spans()}
    publishing = spans[f"publish events.{SERVICE}.samples.taken.v1"]
    processing = spans["process events.on_taken"]
    assert publishing.parent
    assert publishing.context
    assert processing.parent
    assert processing.context
    assert f"{publishing.parent.span_id:016x}" == CALLER
    assert processing.parent.span_id == publishing.context.span_id
    assert processing.context.trace_id == publishing.context.trace_id
