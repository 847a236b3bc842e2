"""The integration events of this service; `asyncapi.json` documents them."""

from uuid import UUID

from chassis.events import IntegrationEvent
from pydantic import BaseModel, Field


class OfOrder(BaseModel):
    """What every event of an order says; subscribers get those of one order in order."""

    order_id: UUID = Field(examples=["0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b"])
    reference: str = Field(description="What the customer calls the order.", examples=["A-1"])

    @property
    def ordering_key(self) -> str:
        return str(self.order_id)


class OrderConfirmedV1(OfOrder, IntegrationEvent):
    """An order was confirmed; it cannot be cancelled any more."""

    kind = "orders.confirmed.v1"


class OrderCancelledV1(OfOrder, IntegrationEvent):
    """An order was cancelled before it was confirmed."""

    kind = "orders.cancelled.v1"
