"""The messages of leaks."""

from chassis.events import IntegrationEvent
from chassis.jobs import Task


class Leak(Task):
    """Fails with the text in its message."""

    text: str


class Miss(Task):
    """Fails with Unavailable, as during an outage."""


class Look(Task):
    """Logs whether the worker has imported the SDK of error tracking."""


class Leaked(IntegrationEvent):
    kind = "leaks.leaked.v1"

    text: str
