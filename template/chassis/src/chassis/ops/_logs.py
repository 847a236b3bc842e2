"""Logs on standard output, from this code and from libraries: JSON lines, or lines to read in development."""

import json
import logging
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import cache, lru_cache, partial
from time import gmtime, strftime, time_ns
from types import TracebackType
from typing import TextIO

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis.ops._redaction import may_reveal, redact, redact_all
from chassis.ops._tracing import span_id, trace_id
from chassis.settings import Settings, SettingsError

log = structlog.stdlib.get_logger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="")
# The principal of the request; empty when it is anonymous.
principal: ContextVar[str] = ContextVar("principal", default="")
# Of the job that runs in a worker, and of the message that it handles.
job_id: ContextVar[str] = ContextVar("job_id", default="")
message_id: ContextVar[str] = ContextVar("message_id", default="")

IDS = (request_id, trace_id, span_id, principal, job_id, message_id)
# Fields that cannot contain a secret: names in the code, or values the chassis creates or validates.
KNOWN = frozenset(
    {"job", "job_id", "level", "logger", "message_id", "method", "module", "request_id", "route", "schedule"}
    | {"span_id", "timestamp", "trace_id"}
)
MODULE = re.compile(r"(?:chassis|.+\.modules)\.(\w+)")

# In development: the columns of a line, those of its caller, what it leaves out, and the colors of a terminal.
COLUMNS, CALLER_COLUMNS = 110, 20
LEFT_OUT = ("client", "job_id", "logger", "message_id", "module", "request_id", "route", "span_id", "trace_id")
COLORS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


@cache
def module_of(name: str) -> str:
    """Return the module of the service or the room of the chassis that a dotted name is in; empty for a library."""
    found = MODULE.match(name)
    return found[1] if found else ""


def _utc() -> str:
    seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1000:06}Z"


@lru_cache(1)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))


def _complete(now: Callable[[], str], logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """Add the common fields; on lines with `job`, `module` is that of its handler."""
    name = event["_record"].name if "_record" in event else logger.name
    line: EventDict = {"timestamp": now(), "level": level, "event": event["event"], "logger": name}
    if module := str(event["job"]).partition(".")[0] if "job" in event else module_of(name):
        line["module"] = module
    for variable in IDS:
        if current := variable.get():
            line[variable.name] = current
    line.update(event)
    return line


def _render_json(_logger: WrappedLogger, _level: str, event: EventDict) -> str:
    """Render one line, without the path of a request: it may be a secret, as that of a webhook is; its route stays."""
    if event["event"] == "request":
        event.pop("path", None)
    line = _json(event)
    return _json(redact_all(json.loads(line))) if may_reveal(event, KNOWN) else line


def _json(event: EventDict) -> str:
    """Write ASCII, which no encoding of standard output refuses."""
    try:
        return to_json(event, ensure_ascii=True, fallback=repr, inf_nan_mode="strings").decode()
    except ValueError:  # half a surrogate pair, bytes that are not UTF-8, or a cycle
        return json.dumps({name: value if isinstance(value, str) else repr(value) for name, value in event.items()})


def _render_line(process: str, _logger: WrappedLogger, _level: str, event: EventDict) -> str:
    """Render one line, which begins with time and process, and below it the traceback."""
    kept = {name: value for name, value in event.items() if name not in LEFT_OUT}
    time, level, text, exception = (kept.pop(name, "") for name in ("timestamp", "level", "event", "exception"))
    head = f"{time} {process:6} "
    if text == "request":
        line = head + _request(kept, COLUMNS - len(head))
    else:
        shown = [level.upper()] if level in COLORS else []
        texts = {name: value if isinstance(value, int | float) else str(value) for name, value in kept.items()}
        shown += [redact(str(text)), *(f"{name}={value}" for name, value in redact_all(texts).items())]
        line = head + " ".join(shown)
    # A terminal obeys what a caller or another service may have put into a value.
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    if level in COLORS and sys.stdout.isatty():
        line = f"{COLORS[level]}{line}\x1b[0m"
    return f"{line}\n{redact(exception)}" if exception else line


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


def configure_logs(settings: Settings, process: str, release: str = "") -> None:
    """Send structlog, the standard library's logging, warnings and the error that ends the process to standard output.

    structlog bypasses the standard library's handlers, which would make logging a request four times as slow.
    """
    is_console = settings.log_format == "console"
    complete = partial(_complete, partial(strftime, "%H:%M:%S") if is_console else _utc)
    last: list[Processor] = [structlog.processors.format_exc_info]
    last.append(partial(_render_line, process) if is_console else _render_json)
    if settings.sentry_dsn.get_secret_value():
        last.insert(0, error_tracking(settings, release))
    structlog.configure(processors=[complete, *last], logger_factory=partial(_Lines, sys.stdout))
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), complete],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.getLogger().handlers = [handler]
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_end
    # It would warn of each malformed header of a caller.
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
    set_log_level(settings.log_level)


def error_tracking(settings: Settings, release: str) -> Processor:
    """Return what sends the exceptions of log lines. Raises SettingsError."""
    try:
        from chassis.ops._error_tracking import open_tracking  # noqa: PLC0415  # an extra
    except ModuleNotFoundError:
        raise SettingsError("SENTRY_DSN needs the extra sentry: see docs/observability.md") from None
    try:
        return open_tracking(settings, release)
    except ValueError as error:
        raise SettingsError(f"SENTRY_DSN is wrong: {redact(str(error))}") from None


def get_log_level() -> str:
    return logging.getLevelName(logging.getLogger().level).lower()


def set_log_level(name: str) -> None:
    """Log lines of this level and above: debug, info, warning or error."""
    level = logging.getLevelNamesMapping()[name.upper()]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    logging.getLogger().setLevel(level)
    # uvicorn logs its start and stop at level info; the middleware logs requests.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, level))


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, Exception):
        log.critical("process failed", exc_info=error)
    else:
        sys.__excepthook__(kind, error, trace)
