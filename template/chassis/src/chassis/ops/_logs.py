"""Logs as JSON lines on standard output, from our code and from libraries alike."""

import logging
import sys
from contextvars import ContextVar

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


def configure_logs(settings: Settings) -> None:
    """Send structlog and the standard library's logging through one chain of processors to standard output."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_ids,
        structlog.stdlib.ExtraAdder(),
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [_console()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    # uvicorn tells its start and stop at level info; the access line is the middleware's.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, root.level))
