"""What a notification is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

type Kind = Literal["order_confirmed", "order_cancelled"]


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to a customer, caused by one event."""

    id: UUID
    event_id: UUID
    kind: Kind
    order_id: UUID
    text: str
    created_at: datetime


class WebhookFailed(Exception):
    """The webhook answered with another status than 2xx."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the webhook answered {status}")
