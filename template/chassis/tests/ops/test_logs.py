"""Logs are JSON lines, from our code and from libraries alike."""

import io
import logging
import os
import re
import sys
import warnings

import pytest
import structlog
from httpx import AsyncClient

from chassis.ops import configure_logs, module_of, principal, request_id, span_id, trace_id
from chassis.settings import Settings, SettingsError
from chassis.testing import Drain

from tests.ops.conftest import Lines


def test_a_line_has_time_level_logger_request_trace_and_principal(logged: Lines) -> None:
    request, trace, caller = request_id.set("r1"), trace_id.set("t1"), principal.set("alice")
    structlog.stdlib.get_logger("ours").info("hello", thing="world\n")
    request_id.reset(request)
    trace_id.reset(trace)
    principal.reset(caller)
    [line] = logged()
    assert line.pop("timestamp").endswith("Z")
    ids = {"request_id": "r1", "trace_id": "t1", "principal": "alice"}
    assert line == {"event": "hello", "level": "info", "logger": "ours", "thing": "world\n"} | ids


def test_a_library_writes_the_same_lines(logged: Lines) -> None:
    logging.getLogger("theirs").warning("careful, %s", "now", extra={"more": "1"})
    [line] = logged()
    del line["timestamp"]
    assert line == {"event": "careful, now", "level": "warning", "logger": "theirs", "more": "1"}


def test_an_exception_is_in_its_line(logged: Lines) -> None:
    try:
        os.environ["LOST"]
    except KeyError:
        structlog.stdlib.get_logger("ours").exception("failed")
    [line] = logged()
    assert "KeyError: 'LOST'" in line["exception"]


def test_the_level_is_the_settings(logged: Lines) -> None:
    structlog.stdlib.get_logger("ours").debug("hello")
    logging.getLogger("theirs").debug("hello")
    assert logged() == []


@pytest.mark.filterwarnings("default")
def test_a_warning_is_a_line(logged: Lines) -> None:
    warnings.warn("careful", RuntimeWarning, stacklevel=1)
    [line] = logged()
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "RuntimeWarning: careful" in line["event"]


@pytest.mark.parametrize("library", ["asyncio", "asyncpg", "uvicorn.error"])
def test_an_error_of_a_library_is_a_line_without_secrets(logged: Lines, library: str) -> None:
    logging.getLogger(library).error("failed with %s", "token=hunter2", exc_info=ValueError("password=hunter2"))
    [line] = logged()
    assert (line["event"], line["logger"], line["level"]) == ("failed with token=***", library, "error")
    assert line["exception"] == "ValueError: password=***"


@pytest.mark.parametrize(
    ("logger", "module"),
    [
        ("chassis.jobs._worker", "jobs"),
        ("shop.modules.orders.service", "orders"),
        ("tests.sample.modules.notes", "notes"),
        ("shop.service", ""),
        ("uvicorn.error", ""),
    ],
)
def test_a_module_is_told_by_the_name_of_the_logger(logger: str, module: str) -> None:
    assert module_of(logger) == module


ACCESS = (
    '{"timestamp":"TIME","level":"info","event":"request","logger":"chassis.http._request_context","module":"notes",'
    '"request_id":"r1","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"SPAN","principal":"alice","method":"POST",'
    '"route":"/v1/notes","status":201,"duration_ms":0.0,"client":"127.0.0.1"}'
)
JOB = (
    '{"timestamp":"TIME","level":"info","event":"job done","logger":"chassis.jobs._runner","module":"notes",'
    '"request_id":"r1","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"SPAN","job_id":"0","message_id":"UUID",'
    '"job":"notes.count","attempt":1}'
)
EXCEPTION = (
    '{"timestamp":"TIME","level":"error","event":"failed","logger":"shop.modules.orders.service","module":"orders",'
    '"trace_id":"t1","span_id":"s1","order":7,"exception":"KeyError: \'caf\\u00e9\'"}'
)
VARYING = {
    r'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"': '"timestamp":"TIME"',
    r'"duration_ms":\d+\.\d,': '"duration_ms":0.0,',
    r'"job_id":"\d+"': '"job_id":"0"',
    r'"span_id":"[0-9a-f]{16}"': '"span_id":"SPAN"',
    r'"message_id":"[0-9a-f-]{36}"': '"message_id":"UUID"',
}


def golden(output: io.StringIO, mark: str) -> str:
    """Give the one line with this text, with a fixed value for what is another each time."""
    [line] = [line for line in output.getvalue().splitlines() if mark in line]
    for pattern, fixed in VARYING.items():
        line = re.sub(pattern, fixed, line)
    return line


@pytest.mark.usefixtures("logged")
async def test_a_request_and_its_job_are_these_lines(client: AsyncClient, drain: Drain, output: io.StringIO) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"Idempotency-Key": "1", "X-Request-Id": "r1", "traceparent": trace}
    await client.post("/v1/notes", json={"text": "hello"}, headers=headers)
    principal.set("")  # as in a worker
    await drain()
    assert golden(output, '"request"') == ACCESS
    assert golden(output, "notes.count") == JOB


@pytest.mark.usefixtures("logged")
def test_an_exception_is_this_line(output: io.StringIO) -> None:
    tokens = [(variable, variable.set(value)) for variable, value in ((trace_id, "t1"), (span_id, "s1"))]
    structlog.stdlib.get_logger("shop.modules.orders.service").error("failed", order=7, exc_info=KeyError("café"))
    for variable, token in tokens:
        variable.reset(token)
    assert golden(output, "failed") == EXCEPTION


async def test_a_request_without_a_route_is_about_the_room(client: AsyncClient, logged: Lines) -> None:
    await client.get("/nowhere")
    [line] = logged()
    assert (line["module"], line["route"]) == ("http", "unmatched")


@pytest.mark.usefixtures("kept_logs")
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    monkeypatch.delitem(sys.modules, "chassis.ops._error_tracking", raising=False)
    settings = {"database_url": "postgresql://localhost/none", "sentry_dsn": "https://key@tracker.example/1"}
    with pytest.raises(SettingsError, match="SENTRY_DSN needs the extra sentry"):
        configure_logs(Settings.model_validate(settings), "api")


async def test_a_caller_writes_no_warning_by_the_state_of_its_trace(client: AsyncClient, logged: Lines) -> None:
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "=" * 600}
    await client.get("/v1/notes", headers=headers)
    assert [line["event"] for line in logged()] == ["request"]
