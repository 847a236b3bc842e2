"""Slow, oversized and malformed requests, as only a raw socket sends them."""

import asyncio
import secrets
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chassis.settings import Settings

from tests.hostile.conftest import CANARY, ORIGIN, Answer, Api, running

HEAD = b"GET /v1/notes HTTP/1.1\r\nHost: test\r\n"
POST = b"POST /v1/notes HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SECRET = CANARY.encode()

MALFORMED: dict[str, bytes] = {
    "no HTTP": SECRET + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": b"GET /" + SECRET + b" HTTP/9.9\r\nHost: test\r\n\r\n",
    "no version": b"GET /" + SECRET + b"\r\n\r\n",
    "an unknown method": SECRET + b" / HTTP/1.1\r\nHost: test\r\n\r\n",
    "a tunnel": b"CONNECT example.org:443 HTTP/1.1\r\nHost: test\r\n\r\n",
    "bytes in the address": b"GET /\xff\xfe" + SECRET + b" HTTP/1.1\r\nHost: test\r\n\r\n",
    "NUL in the address": b"GET /\x00" + SECRET + b" HTTP/1.1\r\nHost: test\r\n\r\n",
    "no host": b"GET /v1/notes HTTP/1.1\r\n\r\n",
    "two hosts": HEAD + b"Host: " + SECRET + b"\r\n\r\n",
    "NUL in a header": HEAD + b"X: " + SECRET + b"\x00\r\n\r\n",
    "CR in a header": HEAD + b"X: a\rSet-Cookie: " + SECRET + b"\r\n\r\n",
    "a header without a name": HEAD + b": " + SECRET + b"\r\n\r\n",
    "a header without a colon": HEAD + SECRET + b"\r\n\r\n",
    "a space before the colon": HEAD + b"X : " + SECRET + b"\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + SECRET,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length that is none": POST + b"Content-Length: " + SECRET + b"\r\n\r\n",
    "a length beyond int64": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "a length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECRET,
    "an unknown coding": POST + b"Transfer-Encoding: " + SECRET + b"\r\n\r\n",
    "a chunk without a length": POST + b"Transfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n",
    "a coding beside chunks": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\n" + SECRET,
    "chunks in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n3\r\n" + SECRET,
    "a chunk beyond int64": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
}

TOO_MUCH: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "a long address": (414, (b"GET /" + SECRET * 1_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",)),
    "a long query": (414, (b"GET /v1/notes?limit=" + b"9" * 100_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",)),
    "an address without end": (414, (b"GET /", *[SECRET * 1_000] * 20)),
    "a large header": (431, (HEAD + b"X: " + SECRET * 4_000 + b"\r\n\r\n",)),
    "many headers": (431, (HEAD + b"X: " + SECRET + b"\r\n" + b"X: y\r\n" * 100 + b"\r\n",)),
    "a header without end": (431, (HEAD + b"X: ", *[SECRET * 1_000] * 20)),
    "a trailer without end": (431, (CHUNKED + b"0\r\nX: ", *[SECRET * 1_000] * 20)),
    "trailers without end": (431, (CHUNKED + b"0\r\n", *[b"X: " + SECRET * 90 + b"\r\n"] * 100)),
    "an extension without end": (431, (CHUNKED + b"1;", *[SECRET * 1_000] * 20)),
    "line breaks without end": (431, (b"\r\n" * 20_000,)),
    "headers without end": (431, (HEAD, *[b"X: " + SECRET * 90 + b"\r\n"] * 100)),
}

SLOW: dict[str, tuple[bytes, ...]] = {
    "a request line by the byte": tuple(bytes([byte]) for byte in b"GET /" + SECRET * 20),
    "headers by the line": (HEAD, *[b"X: " + SECRET + b"\r\n"] * 100),
    "a head that stays half": (HEAD,),
    "a body by the byte": (POST + b"Content-Length: 100\r\n\r\n", *[b" "] * 99),
    "a body that stays half": (POST + b"Content-Length: 100\r\n\r\n" + SECRET,),
    "chunks by the byte": (POST + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 99),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_http_is_a_problem_and_ends_the_connection(api: Api, name: str) -> None:
    answer = await api.send(MALFORMED[name])
    assert answer.problem.status == 400
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_a_head_that_is_too_large_is_refused(api: Api, name: str) -> None:
    status, parts = TOO_MUCH[name]
    assert (await api.send(*parts)).problem.status == status


async def test_an_access_token_with_many_groups_is_read(api: Api) -> None:
    token = b"Authorization: Bearer " + b"a" * 16_384 + b"\r\n"
    assert (await api.send(HEAD + token + b"Connection: close\r\n\r\n")).problem.status == 401


@pytest.mark.parametrize("name", SLOW)
async def test_what_arrives_too_slowly_is_ended(api: Api, name: str) -> None:
    answer = await api.send(*SLOW[name], pause=0.1)
    assert answer.problem.status == 408


async def test_an_old_caller_need_not_name_the_host(api: Api) -> None:
    head = api.head("GET /v1/notes HTTP/1.0").replace(b"Host: test\r\n", b"")
    assert (await api.send(head + b"\r\n")).status == 200


async def test_a_connection_goes_on_after_a_refused_body(api: Api) -> None:
    refused = b"POST /v1/notes?%00 HTTP/1.1\r\nHost: test\r\nContent-Length: 99999\r\n\r\n" + SECRET.ljust(99_999)
    answer = await api.send(refused, api.head() + b"Connection: close\r\n\r\n", pause=0.1)
    assert answer.status == 400
    assert b"HTTP/1.1 200" in answer.body


async def test_a_connection_that_says_nothing_is_ended(api: Api) -> None:
    assert (await api.send()).raw == b""


async def test_a_kept_connection_has_the_same_deadline_again(api: Api) -> None:
    answer = await api.send(api.head() + b"\r\n", HEAD, *[b"X: y\r\n"] * 50, pause=0.1)
    assert answer.status == 200
    assert b"HTTP/1.1 408" in answer.body


@pytest.mark.parametrize("half", [HEAD, POST + b"Content-Length: 100\r\n\r\n"], ids=["head", "body"])
async def test_what_follows_at_once_has_its_own_deadline(api: Api, half: bytes) -> None:
    answer = await api.send(api.head() + b"\r\n" + half)
    assert answer.status == 200
    assert b"HTTP/1.1 408" in answer.body


async def test_a_body_that_nobody_reads_does_not_hold_a_connection(api: Api) -> None:
    answer = await api.send(
        b"POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: 99\r\n\r\n", *[b" "] * 98, pause=0.1
    )
    assert answer.problem.status == 408


async def test_a_body_that_follows_an_early_answer_is_no_head(api: Api) -> None:
    late = b"GET /v1/notes?%00 HTTP/1.1\r\nHost: test\r\nContent-Length: 99999\r\n\r\n"
    answer = await api.send(late, *[SECRET * 1_000] * 8, pause=0.05)
    assert answer.raw.count(b"HTTP/1.1") == 1


async def test_the_answer_before_a_malformed_request_comes_whole_and_last(api: Api) -> None:
    answer = await api.send(api.head() + b"\r\n" + SECRET + b"\r\n\r\n")
    assert answer.status == 200
    assert answer.raw.count(b"HTTP/1.1") == 1


def send_then_read(port: int, probe: bytes) -> bytes:
    """Read only after everything is sent, as simple clients do: a connection reset meanwhile takes the answer along."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(probe)
        return connection.recv(65_536)


@pytest.mark.parametrize(
    ("probe", "status"),
    [
        (HEAD + b"X: " + SECRET * 1_200_000, 431),
        (POST + b"Content-Length: 13000000\r\n\r\n" + bytes(13_000_000), 413),
    ],
    ids=["head", "body"],
)
async def test_who_reads_after_writing_reads_the_refusal(api: Api, probe: bytes, status: int) -> None:
    assert Answer.read(await asyncio.to_thread(send_then_read, api.port, probe), 0).status == status


@pytest.mark.parametrize("field", ["Authorization", "Idempotency-Key"])
async def test_a_trailer_is_no_header(api: Api, field: str) -> None:
    """Otherwise a proxy could not remove a header field that callers may not send."""
    [credential] = [line for line in api.credential if line.startswith("Authorization")]
    lines = {"Authorization": credential, "Idempotency-Key": "Idempotency-Key: 1", "Connection": "Connection: close"}
    trailer = lines.pop(field)
    body = b'{"text": "a"}'
    head = CHUNKED.removesuffix(b"\r\n") + "".join(f"{line}\r\n" for line in lines.values()).encode()
    answer = await api.send(head + b"\r\n%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(body), body, trailer.encode()))
    assert answer.problem.status == (401 if field == "Authorization" else 400)


UPGRADE = ("Connection: close, Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
@pytest.mark.parametrize("coding", ["Content-Length: 13", "Transfer-Encoding: chunked"])
async def test_a_request_for_another_protocol_keeps_its_body(api: Api, coding: str, *, apart: bool) -> None:
    """As of `curl --http2`, and of Java's HTTP client unless told otherwise."""
    fields = ("Content-Type: application/json", f"Idempotency-Key: {secrets.token_hex(8)}", *UPGRADE, coding)
    head = api.head("POST /v1/notes HTTP/1.1", *fields) + b"\r\n"
    body = b'{"text": "a"}' if "Length" in coding else b'd\r\n{"text": "a"}\r\n0\r\n\r\n'
    answer = await (api.send(head, body, pause=0.1) if apart else api.send(head + body))
    assert answer.status == 201
    assert answer.raw.count(b"HTTP/1.1") == 1


async def test_what_follows_a_request_for_another_protocol_is_answered(api: Api) -> None:
    upgrade = api.head("GET /v1/notes HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket") + b"\r\n"
    answer = await api.send(upgrade * 2 + api.head() + b"Connection: close\r\n\r\n")
    assert answer.raw.count(b"HTTP/1.1 200") == 3
    assert b"WebSocket" not in api.log.read_bytes()


async def test_a_caller_that_sends_no_more_gets_its_answers(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write((api.head() + b"\r\n") * 2)
    writer.write_eof()
    async with asyncio.timeout(10):
        received = await reader.read()
    assert received.count(b"HTTP/1.1 200") == 2
    writer.close()


async def test_only_so_many_pipelined_requests_wait(api: Api) -> None:
    answer = await api.send((api.head() + b"\r\n") * 100)
    assert 1 < answer.raw.count(b"HTTP/1.1 200") < 100


def ask_and_never_read(connection: socket.socket, request: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    connection.settimeout(1)
    with pytest.raises(OSError, match=r"timed out|reset|pipe"):
        while True:
            connection.sendall(request)


async def test_a_caller_that_never_reads_is_not_waited_for(settings: Settings, tmp_path: Path) -> None:
    with (
        running(str(settings.database_url), tmp_path, API_CONNECTIONS="1", API_SEND_TIMEOUT="1") as api,
        socket.create_connection(("127.0.0.1", api.port)) as connection,
    ):
        await asyncio.to_thread(ask_and_never_read, connection, api.head() + b"\r\n")
        async with asyncio.timeout(15):
            while (await api.ask("GET /v1/notes")).status != 200:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (414, b"GET /" + SECRET * 1_000 + b" HTTP/1.1\r\nHost: test\r\n"),
        (431, HEAD + b"X: y\r\n" * 100),
    ],
)
async def test_a_page_of_ours_sees_why_a_head_is_refused(api: Api, status: int, head: bytes) -> None:
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://other.example", None)):
        answer = await api.send(head + f"Origin: {origin}\r\n\r\n".encode())
        assert answer.problem.status == status
        assert answer.headers.get("access-control-allow-origin") == allowed


async def test_connections_beyond_the_limit_are_turned_away(settings: Settings, tmp_path: Path) -> None:
    with running(settings.database_url, tmp_path, API_CONNECTIONS="2") as api:
        async with AsyncExitStack() as held:
            for _ in range(2):
                _, writer = await asyncio.open_connection("127.0.0.1", api.port)
                held.callback(writer.close)
            turned_away: Answer = await api.send(HEAD + b"\r\n")
            assert turned_away.problem.status == 503
            assert turned_away.headers["retry-after"] == "1"
        await asyncio.sleep(0.2)
        assert (await api.ask("GET /v1/notes")).status == 200
