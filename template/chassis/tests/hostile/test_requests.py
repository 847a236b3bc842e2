"""Addresses, parameters and headers that try to become SQL, log lines or headers of an answer."""

import json

import pytest

from tests.hostile.conftest import CANARY, Api

NOTE = "01890000-0000-7000-8000-000000000000"
SQL = [
    "'%20OR%20'1'='1",
    "1;DROP%20TABLE%20notes",
    "1)%20UNION%20SELECT%20*%20FROM%20notes--",
    "%5C'",
    "$1",
    "%25s",
    "{0}",
]

PATHS: dict[str, tuple[int, str]] = {
    "NUL": (400, f"/v1/notes/{CANARY}%00"),
    "NUL at the end of an id": (400, f"/v1/notes/{NOTE}%00"),
    "no UTF-8": (400, f"/v1/notes/%ff{CANARY}"),
    "half a surrogate pair": (400, "/v1/notes/%ed%a0%80"),
    "an overlong slash": (400, "/v1/notes/%c0%af"),
    "no percent-encoding": (422, "/v1/notes/%zz"),
    "a lone percent sign": (422, "/v1/notes/%"),
    "no UUID": (422, f"/v1/notes/{CANARY}"),
    "an integer": (422, "/v1/notes/1"),
    "an integer beyond int64": (422, "/v1/notes/9223372036854775808"),
    "a UUID too long": (422, f"/v1/notes/{NOTE}0"),
    "a UUID too short": (422, f"/v1/notes/{NOTE[:-1]}"),
    "a way out": (404, "/v1/notes/../../etc/passwd"),
    "a way out, encoded": (404, "/v1/notes/..%2f..%2fetc%2fpasswd"),
    "line breaks": (422, f"/v1/notes/a%0d%0aSet-Cookie:%20{CANARY}"),
    "a slash at the end": (404, "/v1/notes/"),
    "two slashes": (404, "//v1//notes"),
    "NUL in the query": (400, "/v1/notes?cursor=%00"),
    "no UTF-8 in the query": (400, "/v1/notes?cursor=%ff"),
    "a negative limit": (422, "/v1/notes?limit=-1"),
    "a limit of none": (422, "/v1/notes?limit=0"),
    "a limit beyond int64": (422, "/v1/notes?limit=9223372036854775808"),
    "a limit of 5,000 digits": (422, "/v1/notes?limit=" + "9" * 5_000),
    "a limit that is none": (422, f"/v1/notes?limit={CANARY}"),
    "a limit that is no number": (422, "/v1/notes?limit=NaN"),
    "a limit in other digits": (422, "/v1/notes?limit=%C2%B2"),
    "a cursor that is none": (400, f"/v1/notes?cursor={CANARY}"),
    "line breaks in the query": (400, f"/v1/notes?cursor=a%0d%0a{CANARY}"),
    **{f"SQL in an id: {text}": (422, f"/v1/notes/{text}") for text in SQL},
    **{f"SQL in a limit: {text}": (422, f"/v1/notes?limit={text}") for text in SQL},
    **{f"SQL in a cursor: {text}": (400, f"/v1/notes?cursor={text}") for text in SQL},
}

UNSAFE_IDS = [
    CANARY + " b",
    CANARY + "\t",
    '{"event": "' + CANARY + '"}',
    CANARY * 10,
    CANARY + "\x1b[31m",
    CANARY + "é",
]


@pytest.mark.parametrize("name", PATHS)
async def test_an_address_that_names_nothing_is_refused(api: Api, name: str) -> None:
    status, path = PATHS[name]
    assert (await api.ask(f"GET {path}")).problem.status == status


@pytest.mark.parametrize("unsafe", UNSAFE_IDS)
async def test_a_request_id_writes_nothing_of_its_own(api: Api, unsafe: str) -> None:
    answer = await api.ask(f"GET /v1/notes/{NOTE}", f"X-Request-Id: {unsafe}")
    assert answer.status in {400, 404}
    assert CANARY.encode() not in answer.raw


@pytest.mark.parametrize(
    "field", ["If-None-Match", "Accept-Language", "Cookie", "Referer", "User-Agent", "X-Forwarded-For"]
)
async def test_what_is_in_a_header_stays_there(api: Api, field: str) -> None:
    answer = await api.ask(f"GET /v1/notes/{NOTE}", f"{field}: '; DROP TABLE notes; -- {CANARY}")
    assert answer.problem.status == 404


@pytest.mark.parametrize("text", ["'; DROP TABLE notes; --", "a\r\nSet-Cookie: b", "${jndi:ldap://a}", "\x1b[2J"])
async def test_text_is_only_text(api: Api, text: str) -> None:
    taken = await api.post(json.dumps({"text": text}).encode())
    assert taken.status == 201
    assert "set-cookie" not in taken.headers
    read = await api.ask(f"GET {taken.headers['location']}")
    assert json.loads(read.body)["text"] == text


@pytest.mark.parametrize("key", ["'; DROP TABLE chassis_idempotency_keys; --" + CANARY, CANARY * 40, ""])
async def test_an_idempotency_key_that_is_none_is_refused(api: Api, key: str) -> None:
    head = [f"Idempotency-Key: {key}", "Content-Type: application/json"]
    assert (await api.ask("POST /v1/notes", *head, body=b'{"text": "a"}')).problem.status == 400


@pytest.mark.parametrize(
    "accept", ["text/html", f"image/{CANARY}", "application/json;q=0", "application/json;q=0.0, */*"]
)
async def test_a_caller_who_takes_no_json_is_told(api: Api, accept: str) -> None:
    answer = await api.ask("GET /v1/notes", f"Accept: {accept}")
    assert (answer.problem.status, answer.problem.type) == (406, "urn:problem-type:not-acceptable")


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "text/html, Application/JSON;q=0.1", "text/*;q=0, */*;q=0.5"]
)
async def test_a_caller_who_takes_json_gets_it(api: Api, accept: str) -> None:
    assert (await api.ask("GET /v1/notes", f"Accept: {accept}")).status == 200


@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS", "TRACE"])
async def test_a_method_that_is_not_allowed_says_which_are(api: Api, method: str) -> None:
    answer = await api.ask(f"{method} /v1/notes")
    assert answer.problem.status == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
