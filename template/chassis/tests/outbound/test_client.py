"""Calls to real servers on this machine, hostile ones among them."""

import asyncio
import gzip
import os
import socket
from ipaddress import ip_network
from pathlib import Path
from time import perf_counter

import httpcore
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from chassis.ops import request_id
from chassis.outbound import _client as http_client
from chassis.outbound._addresses import PublicBackend, TargetRefused, is_public
from chassis.outbound._client import CallFailed, HttpClient, closing_clients, reason_of
from chassis.settings import HttpClientSettings, SettingsError, load
from chassis.testing import BUSY, OK, Respond, answers, remote
from chassis.testing._remotes import Remote

from tests.authority import Authority

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _loopback_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_CLIENT_ALLOWED_NETWORKS", "127.0.0.1/32")
    monkeypatch.setattr(http_client, "BACKOFF_SECONDS", 0.001)


def count(name: str, outcome: str) -> float:
    return REGISTRY.get_sample_value("http_client_requests_total", {"client": name, "outcome": outcome}) or 0


async def test_a_call_takes_the_request_id_along_and_is_counted() -> None:
    token = request_id.set("id-1")
    async with remote(answers(OK)) as server:
        answer = await HttpClient("counted", server.url).request("GET", "/things?secret=hunter2")
    request_id.reset(token)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert "x-request-id: id-1\r\n" in server.heads[0].lower()
    assert count("counted", "2xx") == 1


@pytest.mark.parametrize(("method", "key", "calls"), [("GET", None, 3), ("POST", None, 1), ("POST", "k", 3)])
async def test_only_what_may_be_done_twice_is_tried_again(method: str, key: str | None, calls: int) -> None:
    async with remote(answers(BUSY)) as server:
        with pytest.raises(CallFailed):
            await HttpClient("again", server.url).request(method, "/", idempotency_key=key)
    assert len(server.heads) == calls


async def test_a_call_that_fails_once_succeeds() -> None:
    async with remote(answers(b"", BUSY, OK)) as server:  # the first connection is closed without an answer
        assert (await HttpClient("once", server.url).request("GET", "/")).status_code == 200


async def test_retry_after_is_honoured_and_bounded_by_the_deadline() -> None:
    async with remote(answers(BUSY.replace(b"retry-after: 0", b"retry-after: 60"))) as server:
        with pytest.raises(CallFailed):
            await HttpClient("patient", server.url, timeout=0.3).request("GET", "/")
    assert len(server.heads) == 1


async def test_an_outage_is_not_answered_with_a_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "FAILURES_TO_OPEN", 10_000)
    async with remote(answers(BUSY)) as server:
        client = HttpClient("storm", server.url)
        for _ in range(50):
            with pytest.raises(CallFailed):
                await client.request("GET", "/")
    assert len(server.heads) <= 50 + http_client.RETRY_BUDGET + 50 * http_client.RETRY_SHARE


async def test_the_circuit_opens_and_closes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "OPEN_SECONDS", 0.5)
    async with remote(answers(*[BUSY] * http_client.FAILURES_TO_OPEN, OK)) as server:
        client = HttpClient("circuit", server.url)
        for _ in range(http_client.FAILURES_TO_OPEN):
            with pytest.raises(CallFailed):
                await client.request("POST", "/")
        with pytest.raises(CallFailed):
            await client.request("POST", "/")
        assert (len(server.heads), count("circuit", "open")) == (http_client.FAILURES_TO_OPEN, 1)
        async with asyncio.timeout(10):
            while count("circuit", "2xx") == 0:
                await asyncio.sleep(0.05)
                try:
                    await client.request("POST", "/")
                except CallFailed:
                    continue


async def test_a_service_that_hangs_opens_the_circuit_too() -> None:
    async with remote(slow) as server:
        client = HttpClient("hanging", server.url, timeout=0.1)
        for _ in range(http_client.FAILURES_TO_OPEN + 1):
            with pytest.raises(CallFailed):
                await client.request("POST", "/")
    assert (len(server.heads), count("hanging", "open")) == (http_client.FAILURES_TO_OPEN, 1)


async def endless(writer: asyncio.StreamWriter, _number: int) -> None:
    writer.write(CHUNKED)
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def slow(writer: asyncio.StreamWriter, _number: int) -> None:
    writer.write(CHUNKED)
    while not writer.is_closing():
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def bomb(writer: asyncio.StreamWriter, _number: int) -> None:
    body = gzip.compress(b"0" * 10**7)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


async def headers(writer: asyncio.StreamWriter, _number: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 10**6 + b"\r\n\r\n")


async def reset(writer: asyncio.StreamWriter, _number: int) -> None:
    writer.transport.abort()


@pytest.mark.parametrize("respond", [endless, slow, bomb, headers, reset])
async def test_a_hostile_answer_ends_in_time(respond: Respond) -> None:
    started = perf_counter()
    async with remote(respond) as server:
        with pytest.raises(CallFailed):
            await HttpClient("hostile", server.url, timeout=1, max_bytes=100_000).request("POST", "/")
    assert perf_counter() - started < 5


async def test_an_answer_may_have_so_many_bytes_and_no_more() -> None:
    async with remote(answers(OK)) as server:
        assert (await HttpClient("fits", server.url, max_bytes=2).request("GET", "/")).content == b"ok"
        with pytest.raises(CallFailed):
            await HttpClient("too-large", server.url, max_bytes=1).request("GET", "/")


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    there = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    async with remote(answers(there)) as server:
        answer = await HttpClient("redirect", server.url).request("GET", "/")
    assert (answer.status_code, len(server.heads)) == (302, 1)


async def test_a_cookie_is_not_kept() -> None:
    async with remote(answers(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: a=b\r\n\r\n"))) as server:
        client = HttpClient("cookies", server.url)
        await client.request("GET", "/")
        await client.request("GET", "/")
    assert "cookie" not in server.heads[1].lower()


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.1", "[::1]", "0"])
async def test_this_machine_is_refused_in_every_form(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_CLIENT_ALLOWED_NETWORKS", "")
    async with closing_clients():
        with pytest.raises(TargetRefused):
            await HttpClient("local", f"http://{host}:9").request("GET", "/")


@pytest.mark.parametrize("url", ["http://127.0.0.1@evil.example/", "https://pay.example/", "http://evil.example/"])
async def test_an_address_out_of_a_message_does_not_leave_the_clients_origin(url: str) -> None:
    async with closing_clients():
        with pytest.raises(TargetRefused):
            await HttpClient("origin", "http://pay.example").request("GET", url)


async def test_a_name_that_resolves_to_a_private_address_is_refused_and_asked_once() -> None:
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["10.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    with pytest.raises(TargetRefused):
        await PublicBackend((), resolve).connect_tcp("rebinding.example", 80, 1)
    assert asked == ["rebinding.example"]


async def test_what_was_checked_is_what_is_connected_to() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["10.0.0.1", "127.0.0.1"]

    async with remote(answers(OK)) as server:
        backend = PublicBackend((ip_network("127.0.0.0/8"),), resolve)
        stream = await backend.connect_tcp("two.example", int(server.url.rpartition(":")[2]), 5)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        await stream.aclose()


async def test_a_name_without_an_address_is_an_error_of_the_connection() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        raise OSError

    with pytest.raises(httpcore.ConnectError):
        await PublicBackend((), resolve).connect_tcp("nowhere.example", 80, 1)


PRIVATE = """
    0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.168.0.1 224.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:7f00:1:: 2001:0:1::
    fc00::1 fe80::1%1 fec0::1 ff02::1 2001:db8::1
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_an_address_that_is_not_public_is_none(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_an_address_that_is_public_is_one(address: str) -> None:
    assert is_public(address)


async def test_the_proxy_of_the_settings_is_used_and_none_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with remote(answers(OK)) as proxy, remote(answers(OK)) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await HttpClient("direct", server.url).request("GET", "/")
        assert (len(proxy.heads), len(server.heads)) == (0, 1)
        monkeypatch.setenv("HTTP_CLIENT_PROXY", proxy.url)
        await HttpClient("proxied", "http://pay.example").request("GET", "/x")
        assert proxy.heads[0].startswith("GET http://pay.example/x ")


async def test_a_server_that_the_companys_authority_certifies_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Authority(tmp_path)
    made = Remote(answers(OK))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=company.certify("127.0.0.1"))
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, closing_clients():
        with capture_logs() as logs, pytest.raises(CallFailed):
            await HttpClient("stranger", url).request("POST", "/")
        assert "certificate verify failed: unable to get local issuer certificate" in logs[0]["error"]
        monkeypatch.setenv("SSL_CERT_FILE", str(company.file))
        assert (await HttpClient("company", url).request("GET", "/")).text == "ok"


async def test_the_log_says_why_no_connection_was_made() -> None:
    with socket.socket() as closed, capture_logs() as logs:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(CallFailed):
            await HttpClient("closed", f"http://127.0.0.1:{closed.getsockname()[1]}").request("POST", "/")
    assert logs[0]["error"].startswith("ConnectionRefusedError: [Errno ")


async def test_the_log_quotes_neither_a_header_nor_the_error_that_the_caller_handles() -> None:
    async with remote(answers(OK)) as server:
        with capture_logs() as logs, pytest.raises(CallFailed):
            try:
                socket.inet_aton("canary")
            except OSError:
                await HttpClient("header", server.url).request("POST", "/", headers={"x-key": "canary\n"})
    assert logs[0]["error"] == "LocalProtocolError"


async def test_the_reason_of_a_failure_is_that_of_the_first_address() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(httpcore.ConnectError) as caught:
        await PublicBackend((), resolve).connect_tcp("nowhere.example", 80, 1)
    assert reason_of(caught.value) == "gaierror: [Errno -2] Name or service not known"
    refused = ExceptionGroup("several addresses", [ConnectionRefusedError(111, "refused"), OSError(113, "no route")])
    assert reason_of(httpcore.ConnectError(refused)) == "ConnectionRefusedError: [Errno 111] refused"


async def test_neither_body_nor_credential_is_logged() -> None:
    async with remote(answers(BUSY)) as server:
        with capture_logs() as logs, pytest.raises(CallFailed):
            await HttpClient("quiet", server.url).request(
                "POST", "/?key=canary", json={"canary": 1}, headers={"authorization": "canary"}
            )
    assert logs
    assert "canary" not in str(logs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_CLIENT_PROXY", "socks5://x"),
        ("HTTP_CLIENT_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("SSL_CERT_FILE", "/nowhere/company.pem"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_DIR", f"{Path(__file__).parent}{os.pathsep}/nowhere"),
    ],
)
def test_a_setting_that_is_wrong_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(HttpClientSettings)
