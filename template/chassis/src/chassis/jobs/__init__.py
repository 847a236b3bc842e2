"""Work outside of a request: messages, the transactional outbox, the worker, schedules, dead letters."""

from chassis.jobs import _tracking as tracking
from chassis.jobs._commands import add_commands
from chassis.jobs._handlers import Handler, Job, Subscription, handle, handle_without_transaction
from chassis.jobs._messages import Delivery, Event, Message, Payload, Task, TrackedTask, read_payload
from chassis.jobs._outbox import Outbox
from chassis.jobs._retention import Retention
from chassis.jobs._runner import Snooze
from chassis.jobs._schedules import Schedule, cron
from chassis.jobs._tracking import JobNotFound, JobStatus, TrackedJob, handle_tracked
from chassis.jobs._transactions import NewJob, Transaction, insert
from chassis.jobs._worker import Beside, Transport, Worker, max_connections

__all__ = [
    "Beside",
    "Delivery",
    "Event",
    "Handler",
    "Job",
    "JobNotFound",
    "JobStatus",
    "Message",
    "NewJob",
    "Outbox",
    "Payload",
    "Retention",
    "Schedule",
    "Snooze",
    "Subscription",
    "Task",
    "TrackedJob",
    "TrackedTask",
    "Transaction",
    "Transport",
    "Worker",
    "add_commands",
    "cron",
    "handle",
    "handle_tracked",
    "handle_without_transaction",
    "insert",
    "max_connections",
    "read_payload",
    "tracking",
]
