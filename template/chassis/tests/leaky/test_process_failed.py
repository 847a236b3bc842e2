"""A process that ends by an error says so in one line of its log."""

import json
import os
import subprocess
import sys
from secrets import token_urlsafe

import pytest

from tests.leaky.service import service


@pytest.mark.parametrize("command", ["api", "worker"])
def test_an_error_that_ends_a_process_is_one_line_without_secrets(worker_database: str, command: str) -> None:
    variables = {"DATABASE_URL": worker_database, "SIGNING_KEYS": token_urlsafe(32), "LEAKS_BROKEN": "hunter2"}
    ended = subprocess.run(
        [sys.executable, "-m", service.import_name, command],
        check=False,
        env=os.environ | variables | {"LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    line = json.loads(ended.stdout)
    assert (line["event"], line["level"], line["module"]) == ("process failed", "critical", "ops")
    assert "hunter2" not in ended.stdout
    assert "RuntimeError: password=***" in line["exception"]
