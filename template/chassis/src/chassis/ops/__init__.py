"""Operations: logs, metrics, health, and how a process starts and stops."""

from chassis.ops import _metrics as metrics
from chassis.ops._build import build, version_of
from chassis.ops._checks import Check, Readiness
from chassis.ops._health import create_operations
from chassis.ops._logs import configure_logs, error_tracking, job_id, message_id, module_of, principal, request_id
from chassis.ops._measuring import measuring
from chassis.ops._processes import Commands, run, stop_on_signals
from chassis.ops._redaction import redact
from chassis.ops._telemetry import TelemetrySettings, load_exporter, recording
from chassis.ops._tracing import entry_span, fail, inject, is_recorded, span, span_id, trace_id, traceparent

__all__ = [
    "Check",
    "Commands",
    "Readiness",
    "TelemetrySettings",
    "build",
    "configure_logs",
    "create_operations",
    "entry_span",
    "error_tracking",
    "fail",
    "inject",
    "is_recorded",
    "job_id",
    "load_exporter",
    "measuring",
    "message_id",
    "metrics",
    "module_of",
    "principal",
    "recording",
    "redact",
    "request_id",
    "run",
    "span",
    "span_id",
    "stop_on_signals",
    "trace_id",
    "traceparent",
    "version_of",
]
