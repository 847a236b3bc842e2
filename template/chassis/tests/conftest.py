"""The fixtures are the chassis's own, over the sample service."""

import logging
import sys
from collections.abc import Generator

import pytest
import structlog

pytest_plugins = ["chassis.testing"]


@pytest.fixture
def kept_logs(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Put the configuration of logging back after the test."""
    root = logging.getLogger()
    handlers, level, configuration = root.handlers, root.level, structlog.get_config()
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**configuration)
