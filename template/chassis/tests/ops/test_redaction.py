"""Secrets are found by the names of fields and by their forms, in time that grows with the text alone."""

import json
from time import process_time

import pytest
import structlog
from pydantic import SecretStr

from chassis.errors import Conflict
from chassis.http._problems import problem
from chassis.identity.api_keys._keys import NewKey
from chassis.jobs._queue import Failure
from chassis.ops import _redaction, redact
from chassis.ops._redaction import redact_all

from tests.ops.conftest import ConsoleLines, Lines

KEY = NewKey()
# The tokens below are put together here, or scanners of the source would find them.
TEXT, LINE = "0123456789abcdefghij", "-" * 5


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("password=hunter2", "password=***"),
        ("DB_PASSWORD = 'hunter 2', next", "DB_PASSWORD = ***, next"),
        ('{"password":"a\\"b","b":2}', '{"password":***,"b":2}'),
        (r"{\"client_secret\": \"hunter2\", \"b\": 1}", r"{\"client_secret\": ***, \"b\": 1}"),
        ("{'api_key': 'hunter2', 'x': 1}", "{'api_key': ***, 'x': 1}"),
        ("[(b'x-api-key', b'hunter2'), (b'cookie', b'a=b; c=d')]", "[(b'x-api-key', ***), (b'cookie', ***)]"),
        ("token = f'hunter2', key=Key(secret=SecretStr('hunter 2'))", "token = ***, key=Key(secret=***))"),
        ("Authorization: Digest user=x, y\nnext", "Authorization: ***\nnext"),
        ("sent authorization: Basic dXNlcg== to", "sent authorization: ***"),
        ("Set-Cookie: a=b; c=d\nnext", "Set-Cookie: ***\nnext"),
        ("https://x.example/a?token=hunter2&page=2", "https://x.example/a?token=***&page=2"),
        ("postgresql://shop:hun:ter2@db/shop", "postgresql://***@db/shop"),
        ("https://hunter2@git.example/a", "https://***@git.example/a"),
        ("got Bearer abcdefgh.123", "got Bearer ***"),
        ("is eyJhbGciOi.eyJzdWIi.c2ln-x valid", "is *** valid"),
        pytest.param(KEY.text, f"key_{KEY.id}_***", id="API key"),
        (f"a ghp_{TEXT}0123456789abcdef", "a ***"),
        (f"xoxb-{TEXT}", "***"),
        (f"sk_live_{TEXT}", "***"),
        (f"AKIA{TEXT[:16].upper()}", "***"),
        (f"{LINE}BEGIN RSA PRIVATE KEY{LINE}\nMII\n{LINE}END RSA PRIVATE KEY{LINE}\nnext", "***\nnext"),
        (f"{LINE}BEGIN PRIVATE KEY{LINE}\nMII", "***"),
        ("[type=int, input_value='hunter2', input_type=str]", "[type=int, input_value=***, input_type=str]"),
        (
            'invalid input syntax for type integer: "hun\nter2"\nnext',
            "invalid input syntax for type integer: ***\nnext",
        ),
        ("invalid input for query argument $1: 'hunter2' (an integer is", "invalid input for query argument $1: ***"),
        ("DETAIL:  Failing row contains (1, hun\nter2).", "DETAIL:  Failing row contains (***)"),
        ("Key (email)=(a@b.example) already exists.", "Key (email)=(***)"),
    ],
)
def test_a_secret_in_a_text_is_replaced(text: str, redacted: str) -> None:
    assert redact(text) == redacted
    assert redact(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "The API key is invalid.",
        "The credential lacks the scopes tokens:read and keys:write.",
        "token=None",
        "no answer from https://x.example:8000/users?page=2",
        "task-0123456789abcdefghij",
    ],
)
def test_an_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


def test_a_field_is_redacted_by_its_name_at_any_depth() -> None:
    value = {
        "user": {"Password": "x", "ftp://a:b@c": 1, "tokens": ["y"], "n": [{"api-key": "z"}]},
        "headers": [["cookie", "c"], ["a", "b"]],
    }
    redacted = {"user": {"Password": "***", "ftp://***@c": 1, "tokens": "***", "n": [{"api-key": "***"}]}}
    assert redact_all(value) == redacted | {"headers": [["cookie", "***"], ["a", "b"]]}


def test_a_number_or_nothing_is_no_secret() -> None:
    value = {"max_tokens": 5, "token": None, "has_password": True, "session": ""}
    assert redact_all(value) == value


def test_a_line_has_no_secret_in_its_event_its_values_and_its_traceback(logged: Lines) -> None:
    structlog.stdlib.get_logger("ours").error(
        "failed with token=hunter2",
        headers={"cookie": "hunter2"},
        key=SecretStr("hunter2"),
        dsn="hunter2",
        exc_info=ValueError("password=hunter2"),
    )
    [line] = logged()
    assert "hunter2" not in str(line)
    assert line["event"] == "failed with token=***"
    assert "'***'" in str(line["headers"])
    assert line["dsn"] == "***"
    assert "ValueError: password=***" in line["exception"]


def test_development_shows_no_secret_either(shown: ConsoleLines) -> None:
    structlog.stdlib.get_logger("ours").error("failed", reason="pwd=hunter2", exc_info=ValueError("token=hunter2"))
    assert shown() == ["api    ERROR failed reason=pwd=***", "ValueError: token=***"]


@pytest.mark.usefixtures("logged")
def test_a_value_that_is_no_json_does_not_lose_the_line(logged: Lines) -> None:
    structlog.stdlib.get_logger("ours").info("odd", half="\ud800", raw=b"\xff", token=b"\xfehunter2")
    [line] = logged()
    assert line["half"] == "\ud800"
    assert "hunter2" not in str(line)


def test_the_error_of_a_job_is_stored_without_secrets_also_where_it_is_cut() -> None:
    error = Failure(1, "ValueError", "password=hunter2", f"token={'h' * 5_000}").as_json()
    assert json.loads(error)["message"] == "password=***"
    assert json.loads(error)["traceback"] == "token=***"


def test_the_detail_of_a_problem_has_no_secret() -> None:
    body = bytes(problem(Conflict("postgresql://shop:hunter2@db/shop is in use")).body)
    assert json.loads(body)["detail"] == "postgresql://***@db/shop is in use"


def test_a_long_text_loses_its_middle(logged: Lines) -> None:
    structlog.stdlib.get_logger("ours").error("failed", exc_info=ValueError("begin" + "x" * 2**20 + "password=a end"))
    [line] = logged()
    assert len(line["exception"]) < 70_000
    assert line["exception"].startswith("ValueError: begin")
    assert line["exception"].endswith("password=*** end")


PARTS = [
    f"{LINE}BEGIN PRIVATE KEY",
    "://",
    "://a@",
    "password",
    "password=",
    'password="',
    "password='",
    'token=\\"',
    "token    ",
    "token=a.a(",
    "cookie:",
    "eyJ",
    "eyJ-",
    "eyJ.",
    "key_abcdefghijkl_",
    "ghp_",
    "bearer ",
    "input_value=",
    "Failing row contains (",
    "invalid input x: ",
    'invalid input x: "',
    "Key (a)=(",
    "token\\\\\\\\",
    "api_key_",
    '\\"',
    "\n",
    "a",
]


@pytest.mark.parametrize("part", PARTS)
def test_a_text_that_repeats_the_begin_of_a_secret_takes_linear_time(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Time that grows with the square of the length would be minutes for a mebibyte."""
    monkeypatch.setattr(_redaction, "MAX_TEXT", 2**21)
    text = "password " + part * (2**20 // len(part))
    began = process_time()
    redact(text)
    assert process_time() - began < 10
