"""Operations: logs, metrics, health, and how a process starts and stops."""

from chassis.ops import _metrics as metrics
from chassis.ops._health import create_operations
from chassis.ops._logs import configure_logs, job_id, message_id, module_of, principal, request_id, span_id, trace_id
from chassis.ops._processes import Commands, run, stop_on_signals
from chassis.ops._redaction import redact

__all__ = [
    "Commands",
    "configure_logs",
    "create_operations",
    "job_id",
    "message_id",
    "metrics",
    "module_of",
    "principal",
    "redact",
    "request_id",
    "run",
    "span_id",
    "stop_on_signals",
    "trace_id",
]
