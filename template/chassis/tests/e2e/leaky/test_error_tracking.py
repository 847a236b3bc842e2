"""Unexpected exceptions of both processes are sent to a service that speaks Sentry's protocol."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from httpx import AsyncClient

from chassis.testing import Backend, Remote, Running, Start, remote

from tests.e2e.leaky.conftest import ACCEPTED, dsn_of, events_of, until_sent


async def leak(backend: Backend, way: str, text: str = "x") -> int:
    headers = {**backend.headers, "Idempotency-Key": f"{way}-{text}", "X-Request-Id": f"by-{way}"}
    async with AsyncClient(base_url=backend.url, headers=headers) as client:
        return (await client.post("/v1/leaks", json={"way": way, "text": text})).status_code


async def lines_with(running: Running, text: str) -> Sequence[dict[str, Any]]:
    async with asyncio.timeout(30):
        while text not in running.log.read_text():
            await asyncio.sleep(0.05)
    return [json.loads(line) for line in running.log.read_text().splitlines() if text in line]


async def test_exceptions_of_requests_and_jobs_are_sent_with_release_environment_and_ids(
    start: Start, tracker: Remote
) -> None:
    variables = {"SENTRY_DSN": dsn_of(tracker), "SENTRY_ENVIRONMENT": "staging", "WORKER_MAX_ATTEMPTS": "1"}
    backend = await start("leaks:write", **variables)
    assert [await leak(backend, way) for way in ("conflict", "fail", "enqueue")] == [409, 500, 201]
    request, job = sorted(await until_sent(tracker, 2), key=lambda event: "job" in event["tags"])
    [failed] = await lines_with(backend.api, '"request failed"')
    [dead] = await lines_with(backend.worker, '"job dead-lettered"')
    for event, line in ((request, failed), (job, dead)):
        assert (event["release"], event["environment"], event["level"]) == ("sample@0", "staging", "error")
        exception = event["exception"]["values"][-1]
        assert (exception["type"], exception["mechanism"]["handled"]) == ("RuntimeError", False)
        assert {name: event["tags"][name] for name in ("event", "request_id", "trace_id")}.items() <= line.items()
    assert request["tags"]["request_id"] == "by-fail"
    ids = {name: dead[name] for name in ("job", "job_id", "message_id", "module")}
    assert job["tags"].items() >= ids.items()
    assert job["tags"]["request_id"] == "by-enqueue"
    assert "alice" not in json.dumps([request, job])
    for event in (request, job):
        assert not {"user", "request", "extra"} & event.keys()
        assert (event["breadcrumbs"]["values"], event["contexts"]["trace"]["trace_id"]) == (
            [],
            event["tags"]["trace_id"],
        )


async def test_a_receiver_that_hangs_delays_neither_requests_nor_the_end_of_a_process(start: Start) -> None:
    async def hang(_writer: asyncio.StreamWriter, _number: int) -> None:
        await asyncio.Event().wait()

    async with remote(hang) as tracker, asyncio.timeout(30):
        backend = await start("leaks:write", SENTRY_DSN=dsn_of(tracker))
        while not tracker.bodies:
            assert await leak(backend, "fail") == 500
        assert [await leak(backend, "fail", str(number)) for number in range(150)] == [500] * 150
        assert [(await running.terminate())[0] for running in (backend.api, backend.worker)] == [0, 0]


async def test_what_waits_for_a_slow_receiver_is_sent_before_the_end_of_a_process(start: Start) -> None:
    async def respond_slowly(writer: asyncio.StreamWriter, _number: int) -> None:
        await asyncio.sleep(0.2)
        writer.write(ACCEPTED)

    async with remote(respond_slowly) as tracker:
        backend = await start("leaks:write", SENTRY_DSN=dsn_of(tracker))
        assert [await leak(backend, "fail", str(number)) for number in range(5)] == [500] * 5
        await backend.api.terminate()
        assert len(events_of(tracker)) == 5


async def test_the_sdk_is_imported_only_if_a_dsn_is_set(start: Start, tracker: Remote) -> None:
    for dsn, is_imported in (("", False), (dsn_of(tracker), True)):
        backend = await start("leaks:write", SENTRY_DSN=dsn)
        assert await leak(backend, "look", str(is_imported)) == 201
        for running in (backend.api, backend.worker):
            assert [line["is_imported"] for line in await lines_with(running, '"looked"')] == [is_imported]
            await running.terminate()


async def test_an_attempt_that_is_retried_is_sent_each_time_and_an_outage_is_not(start: Start, tracker: Remote) -> None:
    backend = await start("leaks:write", SENTRY_DSN=dsn_of(tracker), WORKER_MAX_ATTEMPTS="2")
    assert [await leak(backend, way) for way in ("enqueue", "enqueue_outage")] == [201, 201]
    events = sorted(await until_sent(tracker, 3), key=lambda event: (event["tags"]["job"], event["timestamp"]))
    assert [(event["tags"]["job"], event["tags"]["event"], event["level"]) for event in events] == [
        ("leaks.fail", "job failed", "warning"),
        ("leaks.fail", "job dead-lettered", "error"),
        ("leaks.miss", "job dead-lettered", "error"),
    ]
