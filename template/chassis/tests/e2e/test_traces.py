"""One trace from a request to what its jobs call, through two processes and by OTLP, and a collector that fails."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from httpx import AsyncClient

from chassis.dev.spans import ReceivedSpan, read_spans
from chassis.settings import Settings
from chassis.testing import BUSY, OK, Remote, answers, remote

from tests.faults.fleet import Fleet, Started

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{CALLER}-01"
UNSAMPLED = f"00-{TRACE}-{CALLER}-00"
ENDS = ("process notes.admire", "process notes.count", "process courier.deliver", "process courier.deliver")


@pytest.fixture
async def fleet(settings: Settings, tmp_path: Path) -> AsyncGenerator[Fleet]:
    fleet = Fleet(settings.database_url, tmp_path)
    yield fleet
    await fleet.end()


async def start(fleet: Fleet, command: str, collector: Remote, **variables: str) -> Started:
    telemetry = {
        "FAULTS_MODULES": "tests.e2e.courier",
        "HTTP_CLIENT_ALLOWED_NETWORKS": "127.0.0.1/32",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
    }
    return await fleet.start(command, variables={**telemetry, **variables})


async def take_note(api: Started, credential: dict[str, str], parent: str) -> None:
    headers = {**credential, "Idempotency-Key": "1", "traceparent": parent}
    async with AsyncClient(base_url=api.url, headers=headers) as client:
        assert (await client.post("/v1/notes", json={"text": "a secret"})).status_code == 201


def received(collector: Remote) -> Sequence[ReceivedSpan]:
    """Give the spans that the collector has accepted; it refuses the first request."""
    assert all("content-encoding: gzip" in head.lower() for head in collector.heads)
    assert all(head.startswith("POST /v1/traces ") for head in collector.heads)
    return [span for body in collector.bodies[1:] for span in read_spans(body, "gzip")]


def path_of(span: ReceivedSpan, spans: Sequence[ReceivedSpan]) -> str:
    parent = next((each for each in spans if each.span_id == span.parent_id), None)
    process = span.resource["chassis.process"]
    return f"{path_of(parent, spans) if parent else span.parent_id} > {process} {span.name}"


async def test_one_trace_leads_from_the_request_to_what_its_jobs_call(fleet: Fleet) -> None:
    async with remote(answers(BUSY, OK)) as collector, remote(answers(BUSY, BUSY, BUSY, OK)) as parcels:
        api = await start(fleet, "api", collector)
        await start(fleet, "worker", collector, COURIER_URL=parcels.url)
        await take_note(api, fleet.credential(), SAMPLED)
        async with asyncio.timeout(60):
            while not {*ENDS} <= {span.name for span in received(collector)} or len(parcels.heads) < 4:
                await asyncio.sleep(0.05)
            while sum(span.name == ENDS[-1] for span in received(collector)) < 2:
                await asyncio.sleep(0.05)
    spans = received(collector)
    assert {span.trace_id for span in spans} == {TRACE}
    paths = {path_of(span, spans) for span in spans}
    request = f"{CALLER} > api POST /v1/notes"
    job = f"{request} > worker process courier.deliver"
    assert {
        f"{request} > api INSERT notes",
        f"{request} > api INSERT chassis_jobs",
        f"{request} > api COMMIT",
        f"{request} > worker process notes.count > worker UPDATE notes",
        f"{request} > worker process notes.count > worker DELETE chassis_jobs",
        f"{job} > worker SELECT notes",
        f"{job} > worker POST",
    } <= paths

    calls = [span for span in spans if span.name == "POST"]
    sent = [re.search("traceparent: (.*)\r", head) for head in parcels.heads]
    assert [found[1] for found in sent if found] == [f"00-{TRACE}-{call.span_id}-01" for call in calls]
    assert [call.is_failed for call in calls] == [True, True, True, False]
    first, second = (span for span in spans if span.name == "process courier.deliver")
    assert (first.is_failed, first.attributes["error.type"], second.is_failed) == (True, "CallFailed", False)
    assert (first.links, second.links) == ((), (first.span_id,))
    assert not any("secret" in str(value) for span in spans for value in span.attributes.values())


async def test_jobs_of_a_request_that_is_not_recorded_are_not_recorded_either(fleet: Fleet) -> None:
    async with remote(answers(OK)) as collector, remote(answers(OK)) as parcels:
        api = await start(fleet, "api", collector, OTEL_TRACES_SAMPLER_ARG="1")
        worker = await start(fleet, "worker", collector, OTEL_TRACES_SAMPLER_ARG="1", COURIER_URL=parcels.url)
        await take_note(api, fleet.credential(), UNSAMPLED)
        async with asyncio.timeout(60):
            while not parcels.heads:
                await asyncio.sleep(0.05)
        assert [status for status, _ in [await api.terminate(), await worker.terminate()]] == [0, 0]
    assert f"traceparent: 00-{TRACE}-" in parcels.heads[0]
    assert TRACE not in {span.trace_id for body in collector.bodies for span in read_spans(body, "gzip")}


async def test_a_collector_that_hangs_holds_up_neither_requests_nor_the_end(fleet: Fleet) -> None:
    async def hang(_writer: asyncio.StreamWriter, _number: int) -> None:
        await asyncio.Event().wait()

    async with remote(hang) as collector:
        api = await start(fleet, "api", collector, OTEL_EXPORTER_OTLP_TIMEOUT="60")
        credential = fleet.credential()
        await take_note(api, credential, SAMPLED)
        async with asyncio.timeout(30):
            while not collector.heads:
                await asyncio.sleep(0.05)
        async with AsyncClient(base_url=api.url, headers={**credential, "traceparent": SAMPLED}) as client:
            for _ in range(100):
                assert (await client.get("/v1/notes")).status_code == 200
        assert (await api.terminate())[0] == 0
