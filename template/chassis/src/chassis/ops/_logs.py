"""Logs as JSON lines on standard output, from our code and from libraries alike."""

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
# What a request and all that comes of it share, across services: the trace-id of W3C Trace Context.
trace_id: ContextVar[str] = ContextVar("trace_id", default="")
# The principal of the request; empty when it is anonymous.
principal: ContextVar[str] = ContextVar("principal", default="")


def _add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for variable in (request_id, trace_id, principal):
        if current := variable.get():
            event[variable.name] = current
    return event


def _console() -> Processor:
    return structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback)


class _Lines:
    """Writes what structlog has rendered; a line that cannot be written is lost, and costs the caller nothing else."""

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

    Lines of ours do not pass through the standard library's handlers, which would cost a request four times as much.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_ids,
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [_console()]
    )
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
    # uvicorn tells its start and stop at level info; the access line is the middleware's.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, root.level))
