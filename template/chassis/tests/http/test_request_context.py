"""What one pass around every request adds: its id, its metrics, its access line, the answer of last resort."""

import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from uuid import UUID

import pytest
from fastapi import Response
from fastapi.responses import StreamingResponse
from httpx import AsyncClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from chassis.http import Public, Router
from chassis.testing import client_of

from tests.http.applications import application_of

TRACE = "0af7651916cd43dd8448eb211c80319c"

router = Router("/v1/broken", tags=["broken"])


@router.get("/before")
async def before(_caller: Public) -> None:
    raise RuntimeError("password=hunter2")


@router.head("/before")
async def before_head(_caller: Public) -> Response:
    return Response(status_code=204)


@router.get("/public")
async def public(_caller: Public, response: Response) -> None:
    response.headers["cache-control"] = "public, max-age=60"


@router.get("/amid")
async def amid(_caller: Public) -> StreamingResponse:
    async def stream() -> AsyncGenerator[bytes]:
        yield b"some"
        raise RuntimeError("boom")

    return StreamingResponse(stream())


@pytest.fixture
async def broken() -> AsyncGenerator[AsyncClient]:
    async with client_of(application_of(router)) as client:
        yield client


async def test_an_answer_has_a_request_id(client: AsyncClient) -> None:
    UUID((await client.get("/v1/notes")).headers["x-request-id"])


async def test_the_callers_request_id_is_kept(client: AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"X-Request-Id": "from-the-caller"})
    assert answer.headers["x-request-id"] == "from-the-caller"
    assert answer.json()["request_id"] == "from-the-caller"


@pytest.mark.parametrize("unsafe", ["", "a b", "x" * 65, 'a"}', "ä"])
async def test_a_request_id_that_is_not_safe_to_log_is_replaced(client: AsyncClient, unsafe: str) -> None:
    answer = await client.get("/nowhere", headers=[(b"x-request-id", unsafe.encode())])
    UUID(answer.headers["x-request-id"])


async def test_a_request_goes_on_with_the_callers_trace(client: AsyncClient) -> None:
    for parent in (f"00-{TRACE}-00f067aa0ba902b7-01", f"cc-{TRACE}-00f067aa0ba902b7-01-more"):
        assert (await client.get("/nowhere", headers={"traceparent": parent})).json()["trace_id"] == TRACE


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        [f"00-{'0' * 32}-00f067aa0ba902b7-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE.upper()}-00f067aa0ba902b7-01"],
        [f"ff-{TRACE}-00f067aa0ba902b7-01"],
        [f"00-{TRACE}-00f067aa0ba902b7-01-more"],
        [f"00-{TRACE}-00f067aa0ba902b7-01"] * 2,
    ],
)
async def test_without_a_valid_trace_a_request_begins_one(client: AsyncClient, parents: list[str]) -> None:
    headers = [("traceparent", parent) for parent in parents]
    begun = [(await client.get("/nowhere", headers=headers)).json()["trace_id"] for _ in range(2)]
    assert begun[0] != begun[1]
    for trace in begun:
        assert re.fullmatch("[0-9a-f]{32}", trace)
        assert trace not in {TRACE, "0" * 32}


async def test_a_path_parameter_makes_no_new_series(client: AsyncClient) -> None:
    labels = {"method": "GET", "route": "/v1/notes/{note_id}", "status": "404"}
    earlier = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    for number in range(3):
        await client.get(f"/v1/notes/01890000-0000-7000-8000-00000000000{number}")
    assert REGISTRY.get_sample_value("http_requests_total", labels) == earlier + 3


async def test_unknown_paths_and_methods_share_one_series(client: AsyncClient) -> None:
    await client.request("BREW", "/tea")
    labels = {"method": "_OTHER", "route": "unmatched", "status": "404"}
    assert REGISTRY.get_sample_value("http_requests_total", labels)


async def test_a_request_leaves_one_access_line(client: AsyncClient) -> None:
    with capture_logs() as logs:
        await client.get("/v1/notes?cursor=secret")
    [line] = logs
    assert (line["event"], line["method"], line["route"], line["status"]) == ("request", "GET", "/v1/notes", 400)
    assert "secret" not in str(line)


async def test_an_unexpected_error_is_a_problem_that_tells_nothing(broken: AsyncClient) -> None:
    with capture_logs() as logs:
        answer = await broken.get("/v1/broken/before")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text
    assert [entry["event"] for entry in logs] == ["request failed", "request"]


async def test_an_error_amid_an_answer_breaks_the_answer_off(broken: AsyncClient) -> None:
    with pytest.raises(RuntimeError):
        await broken.get("/v1/broken/amid")


@pytest.mark.parametrize("path", ["/v1/notes", "/nowhere"])
async def test_every_answer_is_safe_in_a_browser(client: AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


async def test_an_unexpected_error_is_as_safe(broken: AsyncClient) -> None:
    headers = (await broken.get("/v1/broken/before")).headers
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


async def test_only_the_caller_keeps_an_answer_and_asks_whether_it_holds(client: AsyncClient) -> None:
    taken = await client.post("/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": "a"})
    assert taken.headers["cache-control"] == "no-store"
    read = await client.get(taken.headers["location"])
    assert read.headers["cache-control"] == "private, no-cache"
    same = await client.get(taken.headers["location"], headers={"If-None-Match": read.headers["etag"]})
    assert (same.status_code, same.headers["cache-control"]) == (304, "private, no-cache")
    assert (await client.get("/nowhere")).headers["cache-control"] == "no-store"


async def test_a_route_may_say_otherwise_of_its_own_answer(broken: AsyncClient) -> None:
    assert (await broken.get("/v1/broken/public")).headers.get_list("cache-control") == ["public, max-age=60"]


async def test_https_is_for_good(client: AsyncClient) -> None:
    assert "strict-transport-security" not in (await client.get("/v1/notes")).headers
    answer = await client.get("https://test/v1/notes")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_head_is_answered_as_get_without_the_body(client: AsyncClient) -> None:
    taken = await client.post("/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": "a"})
    location = taken.headers["location"]
    for path in (location, "/v1/notes", "/nowhere"):
        read, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (read.status_code, b"")
        assert {*head.headers.items()} ^ {*read.headers.items()} <= {
            *(("x-request-id", answer.headers["x-request-id"]) for answer in (read, head))
        }


async def test_a_route_made_for_head_is_left_alone(broken: AsyncClient) -> None:
    assert (await broken.head("/v1/broken/before")).status_code == 204


SAMPLED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "x-request-id": "r1"}


@pytest.mark.parametrize(
    ("method", "path", "name", "attributes"),
    [
        ("GET", "/v1/notes", "GET /v1/notes", {"http.route": "/v1/notes", "http.response.status_code": 200}),
        ("GET", "/hooks/secret", "GET unmatched", {"http.response.status_code": 404}),
        (
            "BREW",
            "/hooks/secret",
            "_OTHER unmatched",
            {"http.request.method": "_OTHER", "http.response.status_code": 404},
        ),
    ],
)
async def test_a_request_is_a_span_of_its_route_without_its_path(  # noqa: PLR0913, PLR0917  # fixtures
    client: AsyncClient,
    recorded: InMemorySpanExporter,
    method: str,
    path: str,
    name: str,
    attributes: dict[str, str | int],
) -> None:
    await client.request(method, path, headers=SAMPLED)
    span = recorded.get_finished_spans()[-1]
    common = {"http.request.method": method, "url.scheme": "http", "chassis.request_id": "r1"}
    assert (span.name, span.kind, dict(span.attributes or {})) == (name, SpanKind.SERVER, common | attributes)


@pytest.mark.parametrize("path", ["/v1/broken/before", "/v1/broken/amid"])
async def test_an_unexpected_error_marks_its_span_with_its_class(
    broken: AsyncClient, recorded: InMemorySpanExporter, path: str
) -> None:
    with suppress(Exception):  # that of a response which has begun
        await broken.get(path, headers=SAMPLED)
    span = recorded.get_finished_spans()[-1]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "RuntimeError"
