"""Logging as a process configures it, put back after the test."""

import io
import json
import re
import sys
from collections.abc import Callable

import pytest

from chassis.ops import configure_logs
from chassis.settings import Settings

type Lines = Callable[[], list[dict[str, str]]]
type ConsoleLines = Callable[[], list[str]]


@pytest.fixture
def output(kept_logs: None, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:  # noqa: ARG001  # put back after the test
    """Give what goes to standard output."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    return output


def configure(log_format: str) -> None:
    settings = {"database_url": "postgresql://localhost/none", "log_format": log_format}
    configure_logs(Settings.model_validate(settings), "api")


@pytest.fixture
def logged(output: io.StringIO) -> Lines:
    """Give the lines that went to standard output, read back from JSON."""
    configure("json")
    return lambda: [json.loads(line) for line in output.getvalue().splitlines()]


@pytest.fixture
def shown(output: io.StringIO) -> ConsoleLines:
    """Give the lines of development, without the time that they begin with."""
    configure("console")
    return lambda: [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in output.getvalue().splitlines()]
