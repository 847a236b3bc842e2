"""The tasks of notifications."""

from uuid import UUID

from chassis.jobs import Task


class SendNotification(Task):
    notification_id: UUID
