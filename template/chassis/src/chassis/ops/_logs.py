"""Logs as JSON lines on standard output, from this code and from libraries."""

import logging
import sys
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis.settings import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")
# The trace-id of W3C Trace Context, which a request shares with everything it causes, across services.
trace_id: ContextVar[str] = ContextVar("trace_id", default="")
# The principal of the request; empty when it is anonymous.
principal: ContextVar[str] = ContextVar("principal", default="")


def _add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for variable in (request_id, trace_id, principal):
        if current := variable.get():
            event[variable.name] = current
    return event


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


def configure_logs(settings: Settings) -> None:
    """Send structlog and the standard library's logging through the same processors to standard output.

    structlog bypasses the standard library's handlers, which would make logging a request four times as slow.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_ids,
    ]
    last: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if settings.log_format == "console":
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain)]
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
