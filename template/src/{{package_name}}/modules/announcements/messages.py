"""The integration events of this service; `asyncapi.json` documents them."""

from uuid import UUID

from chassis.events import IntegrationEvent
from pydantic import Field

EXAMPLE = "0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b"


class OrderConfirmedV1(IntegrationEvent):
    """An order was confirmed; it cannot be cancelled any more."""

    kind = "orders.confirmed.v1"

    order_id: UUID = Field(examples=[EXAMPLE])
    reference: str = Field(description="What the customer calls the order.", examples=["A-1"])


class OrderCancelledV1(IntegrationEvent):
    """An order was cancelled before it was confirmed."""

    kind = "orders.cancelled.v1"

    order_id: UUID = Field(examples=[EXAMPLE])
    reference: str = Field(description="What the customer calls the order.", examples=["A-1"])
