"""Pages of the origins on the list may call the API, others may not."""

from collections.abc import AsyncGenerator

import pytest
from httpx import ASGITransport, AsyncClient

from chassis.data import Database
from chassis.http import Application, connect
from chassis.http._openapi import MEDIA_TYPE
from chassis.jobs import Outbox
from chassis.runtime import Service
from chassis.settings import EdgeSettings, SettingsError, load

OURS, OTHERS = {"Origin": "https://shop.example"}, {"Origin": "https://canary.example"}


@pytest.fixture
def shop(service: Service, database: Database, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> Application:
    monkeypatch.setenv("API_CORS_ORIGINS", "https://shop.example, http://localhost:5173")
    monkeypatch.setenv("API_CORS_HEADERS", "X-Tenant")
    api = service.create_api()
    connect(api, database, outbox)
    return api


@pytest.fixture
async def page(shop: Application) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(shop), base_url="http://test") as client:
        yield client


def preflight(method: str, *fields: str) -> dict[str, str]:
    asked = {"Access-Control-Request-Headers": ", ".join(fields)} if fields else {}
    return {"Access-Control-Request-Method": method} | asked


async def test_a_page_of_ours_may_ask_and_sees_what_it_needs(page: AsyncClient) -> None:
    fields = ["if-match", "authorization", "idempotency-key", "x-request-id", "content-type", "x-requested-with"]
    asked = preflight("PATCH", *fields, "traceparent", "tracestate", "baggage", "sentry-trace", "x-tenant")
    allowed = await page.options("/v1/notes", headers=OURS | asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, OURS["Origin"])
    answer = await page.get("/v1/notes", headers=OURS)
    assert answer.headers["access-control-allow-origin"] == OURS["Origin"]
    assert "access-control-allow-credentials" not in answer.headers
    seen = set(answer.headers["access-control-expose-headers"].split(", "))
    assert seen >= {"ETag", "Idempotency-Replayed", "Link", "Location", "WWW-Authenticate", "X-Request-Id"}
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (OTHERS | preflight("GET"), "origin"),
        (OURS | preflight("TRACE"), "method"),
        (OURS | preflight("GET", "x-canary"), "headers"),
    ],
)
async def test_what_is_not_on_the_list_is_a_problem(page: AsyncClient, headers: dict[str, str], reason: str) -> None:
    answer = await page.options("/v1/notes", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, MEDIA_TYPE)
    assert answer.json()["type"] == "urn:problem-type:preflight-refused"
    assert answer.json()["detail"] == f"Disallowed CORS {reason}."
    assert "access-control-allow-origin" not in answer.headers
    assert "canary" not in answer.text


async def test_a_page_of_others_sees_no_answer(page: AsyncClient) -> None:
    assert "access-control-allow-origin" not in (await page.get("/v1/notes", headers=OTHERS)).headers


async def test_a_refused_body_is_shown_to_a_page_of_ours(page: AsyncClient) -> None:
    answer = await page.post("/v1/notes", headers=OURS | {"Content-Type": "application/json"}, content=b"{")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, OURS["Origin"])


async def test_an_unexpected_error_is_shown_to_a_page_of_ours(shop: Application, page: AsyncClient) -> None:
    shop.state.authenticate = None
    for headers, allowed in ((OURS, OURS["Origin"]), (OTHERS, None)):
        answer = await page.get("/v1/notes", headers=headers)
        assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (500, allowed)


async def test_without_a_list_no_page_may_ask(client: AsyncClient) -> None:
    assert (await client.options("/v1/notes", headers=OURS | preflight("GET"))).status_code == 405
    assert "access-control-allow-origin" not in (await client.get("/v1/notes", headers=OURS)).headers


@pytest.mark.parametrize("origins", ["*", "https://*.example", "shop.example", "https://shop.example/"])
def test_an_origin_that_is_none_ends_the_start(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    monkeypatch.setenv("API_CORS_ORIGINS", origins)
    with pytest.raises(SettingsError, match="API_CORS_ORIGINS is wrong, it accepts: origins, comma-separated"):
        load(EdgeSettings)


@pytest.mark.parametrize("proxies", ["*", "proxy.example", "10.0.0.1/8"])
def test_a_proxy_that_is_no_address_ends_the_start(monkeypatch: pytest.MonkeyPatch, proxies: str) -> None:
    monkeypatch.setenv("API_TRUSTED_PROXIES", proxies)
    with pytest.raises(SettingsError, match="API_TRUSTED_PROXIES is wrong, it accepts: addresses or networks"):
        load(EdgeSettings)
