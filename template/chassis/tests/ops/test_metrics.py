"""What `/metrics` answers: the metrics that the reference lists, in both formats, with examples of traces in one."""

import asyncio
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import pytest
from httpx import ASGITransport, AsyncClient, Response
from prometheus_client import REGISTRY, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic
from uuid_utils.compat import uuid7

from chassis.ops import build, create_operations, entry_span, measuring, metrics
from chassis.runtime import Service
from chassis.settings import Settings
from chassis.testing import Drain, Running, Start

from tests.test_rooms import table_of

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


async def failing() -> list[str]:
    return []


async def scrape(accept: str = "*/*") -> Response:
    transport = ASGITransport(create_operations(failing, {}))
    async with AsyncClient(transport=transport, base_url="http://test") as operations:
        return await operations.get("/metrics", headers={"accept": accept})


def parse(text: str) -> Sequence[Metric]:
    return [*parse_openmetrics(text)]  # type: ignore[no-untyped-call]  # has no types


def exemplars(families: Sequence[Metric]) -> Mapping[str, set[str]]:
    """Give the trace ids that each series of one name has as examples."""
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        if sample.exemplar:
            found.setdefault(sample.name, set()).add(sample.exemplar.labels["trace_id"])
    return found


@pytest.mark.usefixtures("recorded")
async def test_a_caller_that_accepts_openmetrics_gets_it_with_examples_of_traces(client: AsyncClient) -> None:
    await client.get("/v1/notes", headers=TRACEPARENT)
    answer = await scrape(OPENMETRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found = exemplars(parse(answer.text))
    assert TRACE in found["http_requests_total"]
    assert TRACE in found["http_request_duration_seconds_bucket"]


@pytest.mark.usefixtures("recorded")
async def test_the_metrics_of_a_job_name_the_trace_of_the_request_that_caused_it(
    client: AsyncClient, drain: Drain
) -> None:
    headers = TRACEPARENT | {"Idempotency-Key": "a"}
    await client.post("/v1/notes", json={"text": "a"}, headers=headers)
    await drain()
    found = exemplars(parse((await scrape(OPENMETRICS)).text))
    for name in ("jobs_total", "job_duration_seconds_bucket", "job_wait_seconds_bucket"):
        assert TRACE in found[name]


async def test_other_callers_get_the_classic_format_without_examples(client: AsyncClient) -> None:
    await client.get("/v1/notes", headers=TRACEPARENT)
    answer = await scrape()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert TRACE not in answer.text
    assert "http_requests_total" in {sample.name for family in parse_classic(answer.text) for sample in family.samples}


@pytest.mark.parametrize("accept", ["*/*", OPENMETRICS])
async def test_no_series_tells_only_when_another_was_created(client: AsyncClient, accept: str) -> None:
    await client.get("/v1/notes")
    assert "_created" not in (await scrape(accept)).text


@pytest.mark.usefixtures("recorded")
def test_a_trace_that_is_not_recorded_is_no_example() -> None:
    with entry_span("GET", "server", TRACEPARENT):
        assert metrics.exemplar() == {"trace_id": TRACE}
        with entry_span("GET", "server", {}):
            assert metrics.exemplar() is None


SETTINGS = Settings.model_validate({"database_url": "postgresql://localhost/none"})


def test_a_build_names_its_versions() -> None:
    assert build("pydantic", SETTINGS.model_copy(update={"revision": "abc1234"})) == {
        "version": version("pydantic"),
        "revision": "abc1234",
        "chassis": version("copier-backend-chassis"),
        "python": platform.python_version(),
    }
    unknown = build("not-installed", SETTINGS)
    assert (unknown["version"], unknown["revision"]) == ("0", "unknown")


async def test_a_blocked_event_loop_is_late() -> None:
    def late() -> float:
        name = "event_loop_lag_seconds"
        every = REGISTRY.get_sample_value(f"{name}_count") or 0
        return every - (REGISTRY.get_sample_value(f"{name}_bucket", {"le": "0.1"}) or 0)

    earlier = late()
    async with measuring(build("sample", SETTINGS)), asyncio.timeout(20):
        while late() == earlier:
            await asyncio.sleep(0.01)
            time.sleep(0.5)  # noqa: ASYNC251  # longer than the timer of the measurement


async def families_of(running: Running) -> Mapping[str, Metric]:
    """Scrape a process, leaving out what prometheus_client itself measures of it."""
    async with AsyncClient() as client:
        answer = await client.get(f"{running.operations}/metrics", headers={"accept": OPENMETRICS})
    families = {family.name: family for family in parse(answer.text)}
    assert "python_info" in families
    assert "process_open_fds" in families or sys.platform != "linux"
    return {name: family for name, family in families.items() if not name.startswith(("process_", "python_"))}


def labels_of(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


async def test_both_processes_have_the_metrics_that_the_reference_lists_and_no_others(
    start: Start, service: Service
) -> None:
    backend = await start("notes:read notes:write", REVISION="abc1234")
    async with AsyncClient(base_url=backend.url, headers=backend.headers) as client:
        headers = {"Idempotency-Key": str(uuid7())}
        assert (await client.post("/v1/notes", json={"text": "a"}, headers=headers)).status_code == 201
    async with asyncio.timeout(20):
        while not (jobs := (await families_of(backend.worker))["jobs_waiting"].samples):
            await asyncio.sleep(0.05)
    assert {sample.labels["job"] for sample in jobs} >= {"notes.count", "notes.tidy"}

    listed = table_of("Metrics")
    for running in (backend.api, backend.worker):
        families = await families_of(running)
        names = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}
        assert names == listed.keys()
        for name, (kind, labels, _) in listed.items():
            family = families[name.removesuffix("_total")]
            assert family.type == kind
            assert labels_of(family) in ({*labels.replace("`", "").split(", ")} - {""}, set())
        [info] = families["build_info"].samples
        assert (info.labels["version"], info.labels["revision"]) == (service.version, "abc1234")
        assert families["database_available"].samples[0].value == 1
        size = families["database_connections_max"].samples[0].value
        assert size == (10 if running is backend.api else 20 + 7 + 2)
        assert {sample.labels["state"] for sample in families["database_connections"].samples} == {"used", "idle"}
        assert families["event_loop_lag_seconds"].samples

    served = await families_of(backend.api)
    for name in ("http_requests", "http_request_duration_seconds", "http_request_body_bytes"):
        assert served[name].samples
