"""Times one access line, with redaction, beside the same through a handler of the standard library.

Run it by `just bench-log-line`, in the environment of the chassis. A result is the median over many short rounds,
and the least, of rounds that nothing else on the machine disturbed; the lines are written to a file.
"""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import structlog
from chassis.ops import configure_logs, principal, request_id, trace_id
from chassis.settings import Settings

NAME = "chassis.http._request_context"
FIELDS = {
    "module": "notes",
    "method": "GET",
    "route": "/v1/notes/{note_id}",
    "path": "/v1/notes/0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b",
    "status": 200,
    "duration_ms": 1.2,
    "client": "203.0.113.7",
}
log, library = structlog.stdlib.get_logger(NAME), logging.getLogger(NAME)
# `module` is an attribute of each record.
EXTRA = {name: value for name, value in FIELDS.items() if name != "module"}

LINES: dict[str, Callable[[], None]] = {
    "access line": lambda: log.info("request", **FIELDS),
    "line with a secret": lambda: log.info("request", **FIELDS, token="secret"),  # noqa: S106  # it is timed
    "line below the level": lambda: log.debug("request", **FIELDS),
    "by the standard library": lambda: library.info("request", extra=EXTRA),
}


def microseconds(line: Callable[[], None], count: int) -> float:
    began = perf_counter()
    for _ in range(count):
        line()
    return (perf_counter() - began) / count * 1e6


def measure(rounds: int, count: int) -> dict[str, list[float]]:
    """Write to a file what goes to standard output, as the processes do."""
    found: dict[str, list[float]] = {name: [] for name in LINES}
    console = sys.stdout
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("w", encoding="utf-8") as sys.stdout:
        configure_logs(Settings.model_validate({"database_url": "postgresql://localhost/none"}), "api")
        request_id.set("0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b")
        trace_id.set("4bf92f3577b34da6a3ce929d0e0e4736")
        principal.set("alice")
        for _ in range(rounds):
            for name, line in LINES.items():
                found[name].append(microseconds(line, count))
    sys.stdout = console
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--count", type=int, default=500, help="lines of each kind in a round")
    options = parser.parse_args()
    for name, found in measure(options.rounds, options.count).items():
        print(f"{name:24} {median(found):6.2f} µs, at least {min(found):.2f}")
