"""Calls to other services, for a module's `gateway`."""

from chassis.outbound._addresses import TargetRefused
from chassis.outbound._client import CallFailed, HttpClient, closing_clients, reason_of

__all__ = ["CallFailed", "HttpClient", "TargetRefused", "closing_clients", "reason_of"]
