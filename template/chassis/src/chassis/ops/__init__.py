"""Operations: logs, metrics, health, and how a process starts and stops."""

from chassis.ops import _metrics as metrics
from chassis.ops._build import build, version_of
from chassis.ops._health import create_operations
from chassis.ops._logs import configure_logs, principal, request_id, trace_id
from chassis.ops._measuring import measuring
from chassis.ops._processes import Commands, run, stop_on_signals

__all__ = [
    "Commands",
    "build",
    "configure_logs",
    "create_operations",
    "measuring",
    "metrics",
    "principal",
    "request_id",
    "run",
    "stop_on_signals",
    "trace_id",
    "version_of",
]
