"""The AsyncAPI document describes each integration event, and a change that breaks subscribers is named."""

from collections.abc import Callable
from copy import deepcopy
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from pydantic import Field

from chassis.dev import asyncapi
from chassis.dev.documents import DocumentError
from chassis.events import ExternalEvent, IntegrationEvent, subscribe
from chassis.jobs import Transaction
from chassis.runtime import Service

type Json = dict[str, Any]


class ThingMade(IntegrationEvent):
    """A thing was made.

    It is there.
    """

    kind = "things.made.v1"
    thing_id: UUID
    color: str | None = Field(None, description="As seen.")


class ThingMadeToo(IntegrationEvent):
    kind = "things.made.v1"


class ThingSold(ExternalEvent):
    """A thing was sold."""

    price: int


async def count(_sold: ThingSold, _transaction: Transaction) -> None:
    """Do nothing."""


async def praise(_sold: ThingSold, _transaction: Transaction) -> None:
    """Do nothing."""


SUBSCRIPTIONS = [subscribe("shop.things.sold.v1", ThingSold, function) for function in (count, praise)]


def described() -> Json:
    return deepcopy(asyncapi.document([ThingMade], SUBSCRIPTIONS))


def test_an_event_has_a_channel_with_its_headers_and_its_payload(service: Service) -> None:
    document = described()
    assert document["info"]["title"] == service.title
    assert document["channels"]["things.made.v1"]["address"] == f"events.{service.name}.things.made.v1"
    assert document["operations"]["announce.things.made.v1"]["action"] == "send"
    message = document["components"]["messages"]["things.made.v1"]
    assert message["summary"] == "A thing was made."
    assert message["headers"]["properties"]["ce-type"] == {"const": f"{service.name}.things.made.v1"}
    assert message["payload"] == {"$ref": "#/components/schemas/ThingMade"}
    assert document["components"]["schemas"]["ThingMade"]["properties"]["thing_id"]["format"] == "uuid"


def test_a_subscription_has_an_operation_for_each_handler() -> None:
    document = described()
    channel = document["channels"]["shop.things.sold.v1"]
    assert channel["address"] == "events.shop.things.sold.v1"
    assert list(channel["messages"]) == ["dev.count", "dev.praise"]
    assert document["operations"]["handle.dev.count"]["action"] == "receive"
    message = document["components"]["messages"]["dev.count"]
    assert (message["name"], message["summary"]) == ("shop.things.sold.v1", "A thing was sold.")
    assert message["payload"] == {"$ref": "#/components/schemas/ThingSold"}


def test_what_this_service_no_longer_subscribes_to_breaks_nobody() -> None:
    assert asyncapi.breaks(described(), asyncapi.document([ThingMade], [])) == []


def test_every_reference_leads_somewhere() -> None:
    document = described()
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def references(value: object) -> list[str]:
    match value:
        case {"$ref": str(reference)}:
            return [reference]
        case dict():
            return [each for part in value.values() for each in references(part)]
        case list():
            return [each for part in value for each in references(part)]
        case _:
            return []


def without_kind(document: Json) -> None:
    document["components"]["messages"].clear()


def without_field(document: Json) -> None:
    del document["components"]["schemas"]["ThingMade"]["properties"]["color"]


def another_type(document: Json) -> None:
    document["components"]["schemas"]["ThingMade"]["properties"]["thing_id"]["type"] = "integer"


def another_field(document: Json) -> None:
    document["components"]["schemas"]["ThingMade"]["properties"]["more"] = {"type": "string"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_kind, ["things.made.v1: removed"]),
        (without_field, ["things.made.v1: field color removed"]),
        (another_type, ["things.made.v1.thing_id: type changed"]),
        (another_field, []),
    ],
)
def test_a_change_that_breaks_subscribers_is_named(change: Callable[[Json], None], said: list[str]) -> None:
    after = described()
    change(after)
    assert asyncapi.breaks(described(), after) == said


def test_no_two_are_of_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ThingMade not in asyncapi.kinds()
    modules = (SimpleNamespace(package=__name__),)
    monkeypatch.setattr(asyncapi, "service", lambda: SimpleNamespace(modules=modules))
    with pytest.raises(DocumentError, match=r"ThingMade and ThingMadeToo are both things\.made\.v1: rename one"):
        asyncapi.kinds()
