"""Operations: logs, metrics, health, and how a process starts and stops."""

from chassis.ops import _metrics as metrics
from chassis.ops._build import build
from chassis.ops._checks import Check, Readiness
from chassis.ops._health import create_operations
from chassis.ops._logs import configure_logs, principal, request_id, trace_id
from chassis.ops._processes import Commands, run, stop_on_signals

__all__ = [
    "Check",
    "Commands",
    "Readiness",
    "build",
    "configure_logs",
    "create_operations",
    "metrics",
    "principal",
    "request_id",
    "run",
    "stop_on_signals",
    "trace_id",
]
