"""Logs are JSON lines, from our code and from libraries alike."""

import logging
import os

import structlog

from chassis.ops import principal, request_id, trace_id

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
