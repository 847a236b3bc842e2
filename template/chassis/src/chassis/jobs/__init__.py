"""Work outside of a request: messages, the transactional outbox, the worker, schedules, dead letters."""

from chassis.jobs import _tracking as tracking
from chassis.jobs._commands import add_commands
from chassis.jobs._messages import Delivery, Event, Message, Task, TrackedTask
from chassis.jobs._outbox import (
    Handler,
    Job,
    Outbox,
    Transaction,
    handle,
    handle_without_transaction,
)
from chassis.jobs._queue import QUEUE_SQL, Snooze
from chassis.jobs._schedules import Schedule, cron
from chassis.jobs._tracking import JobNotFound, JobStatus, TrackedJob, handle_tracked
from chassis.jobs._worker import Publisher, Transport, max_connections, work

__all__ = [
    "QUEUE_SQL",
    "Delivery",
    "Event",
    "Handler",
    "Job",
    "JobNotFound",
    "JobStatus",
    "Message",
    "Outbox",
    "Publisher",
    "Schedule",
    "Snooze",
    "Task",
    "TrackedJob",
    "TrackedTask",
    "Transaction",
    "Transport",
    "add_commands",
    "cron",
    "handle",
    "handle_tracked",
    "handle_without_transaction",
    "max_connections",
    "tracking",
    "work",
]
