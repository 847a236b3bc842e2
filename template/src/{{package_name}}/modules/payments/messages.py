"""The events of other services that payments reads; other fields are ignored."""

from typing import Annotated, override
from uuid import UUID

from chassis.events import ExternalEvent
from pydantic import Field


class PaymentReceived(ExternalEvent):
    payment_id: UUID
    order_id: UUID
    amount: Annotated[int, Field(ge=0, le=10**15, description="In minor units, as in cents.")]
    currency: Annotated[str, Field(pattern=r"\A[A-Z]{3}\z", examples=["EUR"])]

    @property
    @override
    def ordering_key(self) -> str:
        return str(self.order_id)
