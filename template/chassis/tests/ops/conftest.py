"""Logging as a process configures it, put back after the test."""

import io
import json
import logging
import sys
from collections.abc import Callable, Generator

import pytest
import structlog

from chassis.ops import configure_logs
from chassis.settings import Settings

type Lines = Callable[[], list[dict[str, str]]]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Generator[Lines]:
    """Give the lines that went to standard output, read back from JSON."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    root = logging.getLogger()
    handlers, level, configuration = root.handlers, root.level, structlog.get_config()
    configure_logs(Settings.model_validate({"database_url": "postgresql://localhost/none"}))
    yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**configuration)
