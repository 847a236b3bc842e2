"""Bodies that other backends answer with 500, or believe."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from tests.hostile.conftest import CANARY, Api

LIMIT = 1_048_576
SECRET = CANARY.encode()
# More than a busy machine needs for any of these, and less than what grows with the square of a body.
MUCH_SECONDS = 10

NO_JSON: dict[str, bytes] = {
    "nothing that ends": b'{"text": "' + SECRET,
    "two documents": b'{"text": "a"} {"text": "b"}',
    "NaN": b'{"text": NaN}',
    "Infinity": b'{"text": Infinity}',
    "minus Infinity": b'{"text": -Infinity}',
    "a name twice": b'{"text": "' + SECRET + b'", "text": "b"}',
    "a name twice, escaped": b'{"text": "a", "te\\u0078t": "b"}',
    "a name twice, deep": b'{"text": {"a": 1, "a": 2}}',
    "half a surrogate pair": b'{"text": "\\ud800"}',
    "the other half": b'{"text": "\\udc00"}',
    "a pair the wrong way round": b'{"text": "\\ude00\\ud83d"}',
    "half a surrogate pair as bytes": b'{"text": "\xed\xa0\x80"}',
    "no UTF-8": b'{"text": "\xff\xfe"}',
    "an overlong NUL": b'{"text": "\xc0\x80"}',
    "UTF-8 cut short": b'{"text": "\xe2\x82"}',
    "UTF-16": '{"text": "a"}'.encode("utf-16"),
    "UTF-32": '{"text": "a"}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"text": "a"}',
    "a NUL outside of text": b'{"text": "a"}\x00',
    "a control character in text": b'{"text": "a\x01"}',
    "1,000 lists": b"[" * 1_000,
    "100,000 lists": b"[" * 100_000,
    "100,000 lists that end": b"[" * 100_000 + b"]" * 100_000,
    "1,000 objects": b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of 100,000 digits": b'{"text": ' + b"9" * 100_000 + b"}",
    "a million brackets": b"[" * (LIMIT - 1),
    "a comment": b'{"text": "a" /* b */}',
    "single quotes": b"{'text': 'a'}",
}

NO_NOTE: dict[str, bytes] = {
    "nothing": b"{}",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"' + SECRET + b'"',
    "a number": b"1",
    "a number beyond all bounds": b'{"text": 1e400}',
    "an integer beyond int64": b'{"text": 9223372036854775808}',
    "an unknown field": b'{"text": "a", "' + SECRET + b'": 1}',
    "the prototype of an object": b'{"text": "a", "__proto__": {"counted": 7}}',
    "a field of ours": b'{"text": "a", "id": "01890000-0000-7000-8000-000000000000", "version": 9}',
    "NUL in text": b'{"text": "' + SECRET + b'\\u0000"}',
    "text of a mebibyte": b'{"text": "' + b"x" * (LIMIT - 20) + b'"}',
    "no UUID": b'{"text": "a", "parent_id": "' + SECRET + b'"}',
    "a UUID with NUL": b'{"text": "a", "parent_id": "01890000-0000-7000-8000-00000000000\\u0000"}',
    "80,000 unknown fields": json.dumps({f"{number:x}": 1 for number in range(80_000)}).encode(),
}


@pytest.mark.parametrize("name", NO_JSON)
async def test_what_is_no_strict_json_is_refused(api: Api, name: str) -> None:
    answer = await api.post(NO_JSON[name])
    assert answer.problem.status == 400
    assert answer.seconds < MUCH_SECONDS


@pytest.mark.parametrize("name", NO_NOTE)
async def test_json_that_is_no_note_is_refused(api: Api, name: str) -> None:
    answer = await api.post(NO_NOTE[name])
    assert answer.problem.status == 422
    assert answer.seconds < MUCH_SECONDS


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
async def test_json_by_other_names_is_as_strict(api: Api, media_type: str) -> None:
    assert (await api.post(b'{"text": NaN}', media_type=media_type)).problem.status == 400
    assert (await api.post(b'{"text": "a"}', media_type=media_type)).status == 201


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "multipart/form-data", CANARY, "", "a/json"])
async def test_a_body_that_is_not_said_to_be_json_is_unsupported(api: Api, media_type: str) -> None:
    answer = await api.post(b'{"text": "a"}', media_type=media_type)
    assert (answer.problem.status, answer.problem.type) == (415, "urn:problem-type:unsupported-media-type")


async def test_a_body_of_no_type_is_unsupported(api: Api) -> None:
    answer = await api.ask("POST /v1/notes", "Idempotency-Key: 1", body=b'{"text": "a"}')
    assert answer.problem.status == 415


async def test_a_compressed_body_is_unsupported(api: Api) -> None:
    answer = await api.post(gzip.compress(b'{"text": "a"}'), "Content-Encoding: gzip")
    assert (answer.problem.status, answer.headers["accept-encoding"]) == (415, "identity")


async def test_a_body_over_the_limit_is_refused_before_it_is_sent(api: Api) -> None:
    head = f"POST /v1/notes HTTP/1.1\r\nHost: test\r\nX: {CANARY}\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
    answer = await api.send(head.encode())
    assert (answer.problem.status, answer.headers["connection"]) == (413, "close")


async def test_a_caller_who_asks_first_is_not_told_to_go_on(api: Api) -> None:
    head = f"POST /v1/notes HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
    assert (await api.send(head.encode())).problem.status == 413


async def test_a_chunked_body_is_counted(api: Api) -> None:
    head = b"POST /v1/notes HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + SECRET.ljust(65_536, b"x") + b"\r\n"
    assert (await api.send(head, *[chunk] * 40)).problem.status == 413


async def test_a_body_of_the_limit_is_read(api: Api) -> None:
    body = b'{"text": "a"' + b" " * (LIMIT - 13) + b"}"
    assert len(body) == LIMIT
    assert (await api.post(body)).status == 201


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
async def test_hostile_bodies_leave_no_memory_behind(api: Api) -> None:
    """Between two collections of Python's garbage, what is dead adds up; the least of some rounds is what stays."""
    resident: list[int] = []
    for _ in range(7):
        for probe in [*NO_JSON.values(), *NO_NOTE.values()]:
            await api.post(probe)
        resident.append(resident_kib(api.pid))
    assert min(resident[-4:]) - resident[0] < 20 * 1024


def resident_kib(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])
