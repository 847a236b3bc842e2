"""What an integration event is called: its kind here, its type for all services, its subject in NATS."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, override

from pydantic import BaseModel, ConfigDict

from chassis.settings import StartError

KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\.v[1-9][0-9]*")
TYPE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")


class KindInvalid(StartError):
    """An integration event or a subscription has an invalid name."""


class IntegrationEvent(BaseModel):
    """Something that happened, published to other services; `asyncapi.json` documents this contract.

    `kind` is its name, for example `invoices.sent.v1`: a change that breaks subscribers is a new kind, with the next
    number.
    """

    model_config = ConfigDict(frozen=True)
    kind: ClassVar[str]

    @property
    def ordering_key(self) -> str | None:
        """Events of this service with the same key are published in the order in which they were announced."""
        return None

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **_options: Any) -> None:
        kind = getattr(cls, "kind", None)
        if not KIND.fullmatch(str(kind)):
            where = f"{cls.__module__}.{cls.__name__}"
            raise KindInvalid(f'{where}: its kind is {kind!r}, write one of the form `kind = "invoices.sent.v1"`')


def subject_of(event_type: str) -> str:
    """Return the subject on which events of a type are published."""
    return f"events.{event_type}"


def attributes_of(service: str, kind: str) -> Mapping[str, str]:
    """Return the attributes of CloudEvents 1.0 that all events of a kind share, as headers of its NATS binding."""
    return {
        "ce-specversion": "1.0",
        "ce-source": f"/{service}",
        "ce-type": f"{service}.{kind}",
        "content-type": "application/json",
    }
