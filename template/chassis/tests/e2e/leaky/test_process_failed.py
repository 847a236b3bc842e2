"""A process that ends by an error says so in one line of its log."""

import asyncio
import json
import os
import subprocess
import sys
from secrets import token_urlsafe

import pytest

from chassis.testing import Remote

from tests.e2e.leaky.conftest import dsn_of, events_of
from tests.e2e.leaky.service import service


def fail(database: str, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    variables |= {"DATABASE_URL": database, "SIGNING_KEYS": token_urlsafe(32), "LEAKS_BROKEN": "hunter2"}
    return subprocess.run(
        [sys.executable, "-m", service.import_name, command],
        check=False,
        env=os.environ | variables | {"LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("command", ["api", "worker"])
def test_an_error_that_ends_a_process_is_one_line_without_secrets(worker_database: str, command: str) -> None:
    ended = fail(worker_database, command)
    assert (ended.returncode, ended.stderr) == (1, "")
    line = json.loads(ended.stdout)
    assert (line["event"], line["level"], line["module"]) == ("process failed", "critical", "ops")
    assert "hunter2" not in ended.stdout
    assert "RuntimeError: password=***" in line["exception"]


async def test_an_error_that_ends_a_process_is_sent_before_its_end(worker_database: str, tracker: Remote) -> None:
    ended = await asyncio.to_thread(fail, worker_database, "worker", SENTRY_DSN=dsn_of(tracker))
    assert ended.returncode == 1
    assert [(event["level"], event["tags"]["event"]) for event in events_of(tracker)] == [("fatal", "process failed")]
