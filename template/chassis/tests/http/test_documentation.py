"""The pages of the API's documentation load nothing from elsewhere, and are routes like all others."""

import re
import sys
from collections.abc import AsyncGenerator

import pytest
from httpx import AsyncClient
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from chassis.runtime import Service
from chassis.testing import client_of

PAGES = ["/docs", "/redoc"]


@pytest.fixture
async def reader(service: Service) -> AsyncGenerator[AsyncClient]:
    """A caller without a credential, of an API that serves its documentation."""
    async with client_of(service.create_api(docs=True)) as client:
        del client.headers["authorization"]
        yield client


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_loads_nothing_from_another_host(reader: AsyncClient, page: str) -> None:
    answer = await reader.get(page)
    assert answer.status_code == 200
    loaded = re.findall(r'(?:src|href|spec-url)="(.+?)"|url: \'(.+?)\'', answer.text)
    addresses = {answer.url.join(first or second) for first, second in loaded}
    assert {address.host for address in addresses} == {"test"}
    kinds = {(await reader.get(address)).headers["content-type"].partition(";")[0] for address in addresses}
    assert kinds >= {"text/javascript", "application/json", "image/png"}


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_runs_no_script_but_its_own(reader: AsyncClient, page: str) -> None:
    policy = (await reader.get(page)).headers["content-security-policy"]
    [scripts] = re.findall(r"script-src ([^;]+);", policy)
    assert re.fullmatch(r"'self'( 'sha256-[A-Za-z0-9+/]{43}=')?", scripts)
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "content-security-policy" in (await reader.get("/openapi.json")).headers


async def test_no_other_file_of_the_package_is_served(reader: AsyncClient) -> None:
    for name in ("other.js", "..%2Fcore.py", "%2Fetc%2Fpasswd"):
        assert (await reader.get(f"/docs/{name}")).status_code == 404


@pytest.mark.parametrize("page", ["/openapi.json", *PAGES])
async def test_a_page_has_a_name_in_logs_and_metrics(reader: AsyncClient, page: str) -> None:
    labels = {"method": "GET", "route": page, "status": "200"}
    before = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    with capture_logs() as logs:
        await reader.get(page)
    assert [line["route"] for line in logs] == [page]
    assert REGISTRY.get_sample_value("http_requests_total", labels) == before + 1
    answer = await reader.post(page)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_without_its_package_says_so(
    reader: AsyncClient, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "fastapi_offline", raising=False)
    monkeypatch.setattr(sys, "path", [])
    answer = await reader.get(page)
    assert answer.status_code == 404
    assert "need the package fastapi-offline" in answer.json()["detail"]
    assert (await reader.get("/openapi.json")).status_code == 200
