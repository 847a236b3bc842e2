"""Liveness, readiness, what runs and metrics, and that the public port has none of them."""

from collections.abc import Collection

import pytest
from httpx import ASGITransport, AsyncClient

from chassis.ops import create_operations

INFO = {"service": "sample"}


def client_of(*failing: str, ended: Collection[str] = ()) -> AsyncClient:
    async def name_failing() -> Collection[str]:
        return failing

    operations = create_operations(name_failing, INFO, lambda: ended)
    return AsyncClient(transport=ASGITransport(operations), base_url="http://test")


@pytest.mark.parametrize(("failing", "status"), [((), 200), (("database",), 503)])
async def test_readiness_follows_the_checks_and_liveness_does_not(failing: tuple[str, ...], status: int) -> None:
    async with client_of(*failing) as operations:
        assert (await operations.get("/readyz")).status_code == status
        assert (await operations.get("/livez")).status_code == 200


async def test_a_process_that_is_not_ready_names_what_fails_in_a_problem_document() -> None:
    async with client_of("database", "worker") as operations:
        answer = await operations.get("/readyz")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json() == {
        "type": "urn:problem-type:unavailable",
        "title": "Service unavailable",
        "status": 503,
        "detail": "Not ready: database, worker.",
    }


async def test_a_process_whose_loop_has_ended_is_neither_live_nor_ready() -> None:
    async with client_of(ended=["claim"]) as operations:
        answers = [await operations.get(path) for path in ("/livez", "/readyz")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert [answer.json()["detail"] for answer in answers] == ["Not live: claim.", "Not ready: loops."]


async def test_what_runs_is_said_as_json() -> None:
    async with client_of() as operations:
        assert (await operations.get("/info")).json() == INFO


async def test_metrics_are_in_the_format_of_prometheus(client: AsyncClient) -> None:
    await client.get("/v1/notes")
    async with client_of() as operations:
        answer = await operations.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'http_request_duration_seconds_count{method="GET",route="/v1/notes"}' in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/info", "/metrics", "/docs", "/openapi.json"])
async def test_the_public_port_has_none_of_it(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
