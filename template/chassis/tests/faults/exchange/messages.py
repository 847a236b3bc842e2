"""The event, as it is announced and as it is read."""

from typing import override
from uuid import UUID

from chassis.events import ExternalEvent, IntegrationEvent


class ToldV1(IntegrationEvent):
    kind = "exchange.told.v1"
    id: UUID
    key: str
    number: int

    @property
    @override
    def ordering_key(self) -> str:
        return self.key


class Told(ExternalEvent):
    id: UUID
    key: str
    number: int

    @property
    @override
    def ordering_key(self) -> str:
        return self.key
