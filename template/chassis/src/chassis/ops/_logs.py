"""Logs on standard output, from this code and from libraries: JSON lines, or lines to read in development."""

import logging
import sys
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis.ops._tracing import span_id, trace_id
from chassis.settings import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")
# The principal of the request; empty when it is anonymous.
principal: ContextVar[str] = ContextVar("principal", default="")


# In development: the columns of a line, those of its caller, what it leaves out, and the colors of a terminal.
COLUMNS, CALLER_COLUMNS = 110, 20
LEFT_OUT = ("client", "logger", "request_id", "route", "span_id", "trace_id")
COLORS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


def _add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for variable in (request_id, trace_id, span_id, principal):
        if current := variable.get():
            event[variable.name] = current
    return event


def _without_path(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out the path of a request, which may contain a secret, as that of a webhook does; its route stays."""
    if event["event"] == "request":
        event.pop("path", None)
    return event


def _render_line(process: str, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Render one line, which begins with time and process, and below it the traceback."""
    kept = {name: value for name, value in event.items() if name not in LEFT_OUT}
    time, level, text, exception = (kept.pop(name, "") for name in ("timestamp", "level", "event", "exception"))
    head = f"{time} {process:6} "
    if text == "request":
        line = head + _request(kept, COLUMNS - len(head))
    else:
        shown = [level.upper()] if level in COLORS else []
        line = head + " ".join([*shown, str(text), *(f"{name}={value}" for name, value in kept.items())])
    # A terminal obeys what a caller or another service may have put into a value.
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    if level in COLORS and sys.stdout.isatty():
        line = f"{COLORS[level]}{line}\x1b[0m"
    return f"{line}\n{exception}" if exception else line


def _request(request: EventDict, columns: int) -> str:
    """Render method, path, status, milliseconds and caller."""
    caller = _cut(request.get("principal", "anonymous"), CALLER_COLUMNS)
    tail = f" {request['status']} {request['duration_ms']} ms {caller}"
    return _cut(f"{request['method']} {request['path']}", columns - len(tail)) + tail


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else f"{text[: columns - 1]}…"


class _Lines:
    """Writes rendered lines; a line that cannot be written is dropped, so that logging never fails the caller."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def write(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = write


def configure_logs(settings: Settings, process: str) -> None:
    """Send structlog and the standard library's logging through the same processors to standard output.

    structlog bypasses the standard library's handlers, which would make logging a request four times as slow.
    """
    is_console = settings.log_format == "console"
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if is_console else "iso", utc=not is_console),
        _add_ids,
    ]
    last: list[Processor] = [structlog.processors.format_exc_info]
    last += [partial(_render_line, process)] if is_console else [_without_path, structlog.processors.JSONRenderer()]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=partial(_Lines, sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # uvicorn logs its start and stop at level info; the middleware logs requests.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, root.level))
