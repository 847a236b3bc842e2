"""HTTP: routers, policies, transactions of a request, bodies, pagination, conditional requests, problem details."""

from chassis.http._application import Application, RouteInvalid, connect, create_application
from chassis.http._conditional import IfMatch, IfNoneMatch, tag_of
from chassis.http._deprecation import deprecated
from chassis.http._idempotency import (
    IDEMPOTENCY_KEYS,
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    IdempotentTransaction,
)
from chassis.http._models import Body, IntegralFloat, Text
from chassis.http._openapi import Responses, raises, sends
from chassis.http._pagination import CursorInvalid, Page, PageRequest
from chassis.http._policies import Public, requires, without_policy
from chassis.http._problems import Problem
from chassis.http._rate_limit import open_limits
from chassis.http._router import Router
from chassis.http._server import serving
from chassis.http._tracked_jobs import ACCEPTED, JobView, accepted
from chassis.http._tracked_jobs import router as tracked_jobs
from chassis.http._transactions import Reading, Streaming, Writing

__all__ = [
    "ACCEPTED",
    "IDEMPOTENCY_KEYS",
    "Application",
    "Body",
    "CursorInvalid",
    "IdempotencyKeyInvalid",
    "IdempotencyKeyRequired",
    "IdempotencyKeyReused",
    "IdempotentTransaction",
    "IfMatch",
    "IfNoneMatch",
    "IntegralFloat",
    "JobView",
    "Page",
    "PageRequest",
    "Problem",
    "Public",
    "Reading",
    "Responses",
    "RouteInvalid",
    "Router",
    "Streaming",
    "Text",
    "Writing",
    "accepted",
    "connect",
    "create_application",
    "deprecated",
    "open_limits",
    "raises",
    "requires",
    "sends",
    "serving",
    "tag_of",
    "tracked_jobs",
    "without_policy",
]
