"""The events and tasks of orders."""

from datetime import timedelta
from uuid import UUID

from chassis.jobs import Delivery, Event, Task, TrackedTask


class OrderPlaced(Event):
    order_id: UUID


class OrderConfirmed(Event):
    order_id: UUID
    reference: str


class OrderCancelled(Event):
    order_id: UUID
    reference: str


class ExportOrders(TrackedTask):
    """Writes the orders of one owner as CSV, at a low priority."""

    delivery = Delivery(priority=-1, deadline=timedelta(hours=1), concurrency=2)

    owner: str


class DeleteExports(Task):
    """Deletes old exports; scheduled every night."""
