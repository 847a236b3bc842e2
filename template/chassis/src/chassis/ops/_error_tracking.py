"""Sends the exceptions of log lines to Sentry, or to a service that speaks its protocol; needs the extra `sentry`."""

import atexit
import logging
import sys

import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis.errors import Unavailable
from chassis.ops._redaction import redact_all
from chassis.settings import Settings

# At the end of the process, for events that are not sent yet.
FLUSH_SECONDS = 2.0
TAGS = ("event", "job", "job_id", "logger", "message_id", "module", "request_id", "span_id", "trace_id")


def open_tracking(settings: Settings, release: str) -> Processor:
    """Return the processor that sends exceptions, from a thread of its own; a full queue drops them."""
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        release=release,
        environment=settings.sentry_environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[DedupeIntegration()],
        before_send=_before_send,
        auto_session_tracking=False,
        include_local_variables=False,
        max_breadcrumbs=0,
        send_client_reports=False,
    )
    # urllib3 logs each failed delivery and each request path.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    atexit.register(lambda: sentry_sdk.get_client().close(timeout=FLUSH_SECONDS))
    return _send


def _send(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """Send the exception of a line; an Unavailable logged as a warning is not sent, since it will be retried."""
    match event.get("exc_info"):
        case BaseException() as error:
            pass
        case (_, error, _):  # of the standard library
            pass
        case given:
            error = sys.exc_info()[1] if given else None
    if error and (level != "warning" or not isinstance(error, Unavailable)):
        tags = {name: event[name] for name in TAGS if name in event}
        mechanism = {"type": "log", "handled": not event["logger"].startswith("chassis.")}
        report, hint = event_from_exception(error, sentry_sdk.get_client().options, mechanism)
        severity = "fatal" if level == "critical" else level
        sentry_sdk.capture_event(report, hint, level=severity, tags=tags, contexts=_trace_of(event))
    return event


def _trace_of(event: EventDict) -> dict[str, dict[str, str]]:
    """Return the trace of the line, in place of one that the SDK would make up; the protocol requires a span."""
    trace = event.get("trace_id")
    return {"trace": {"trace_id": trace, "span_id": event.get("span_id") or trace[:16]}} if trace else {}


def _before_send(event: Event, _hint: Hint) -> Event:
    return redact_all(event)
