"""Liveness, readiness and metrics, and that the public port has none of them."""

import pytest
from httpx import ASGITransport, AsyncClient

from chassis.ops import create_operations


def client_of(*, ready: bool) -> AsyncClient:
    async def is_ready() -> bool:
        return ready

    return AsyncClient(transport=ASGITransport(create_operations(is_ready)), base_url="http://test")


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_follows_the_process_and_liveness_does_not(*, ready: bool, status: int) -> None:
    async with client_of(ready=ready) as operations:
        assert (await operations.get("/readyz")).status_code == status
        assert (await operations.get("/livez")).status_code == 200


async def test_a_process_that_is_not_ready_says_so_as_every_error_is_said() -> None:
    async with client_of(ready=False) as operations:
        answer = await operations.get("/readyz")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["type"] == "urn:problem-type:unavailable"


async def test_metrics_are_in_the_format_of_prometheus(client: AsyncClient) -> None:
    await client.get("/v1/notes")
    async with client_of(ready=True) as operations:
        answer = await operations.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'http_request_duration_seconds_count{method="GET",route="/v1/notes"}' in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json"])
async def test_the_public_port_has_none_of_it(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
