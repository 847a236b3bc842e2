"""A value that is made of a message's schema fits the message, and has all of its fields."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Literal, Self
from uuid import UUID

import pytest
from pydantic import UUID4, BaseModel, Field

from chassis.dev.samples import sample_of
from chassis.jobs import Payload


class State(StrEnum):
    NEW = "new"
    OLD = "old"


class Line(BaseModel):
    state: State
    price: Decimal


class Card(BaseModel):
    kind: Literal["card"]


class Cash(BaseModel):
    kind: Literal["cash"]


class Tree(BaseModel):
    above: Self | None
    below: Sequence[Self]
    beside: dict[str, Self]


class Everything(Payload):
    id: UUID
    random: UUID4
    at: datetime
    day: date
    took: timedelta
    address: IPv4Address
    name: str = Field(min_length=3, max_length=5)
    code: str = Field(pattern="^[A-Z]{3}$", examples=["EUR"])
    count: int = Field(gt=3)
    least: int = Field(le=-3)
    share: float = Field(ge=0.5, lt=1)
    is_new: bool
    note: str | None = None
    currency: str = "EUR"
    lines: Sequence[Line] = Field(min_length=2)
    place: tuple[int, str]
    totals: dict[str, int]
    paid: Annotated[Card | Cash, Field(discriminator="kind")]
    tree: Tree
    more: object


def test_a_sample_fits_its_schema_and_has_every_field() -> None:
    made = sample_of(Everything.model_json_schema())
    message = Everything.model_validate(made)
    assert message.model_fields_set == Everything.model_fields.keys()
    assert (message.note, message.currency, message.code, len(message.lines)) == ("a", "EUR", "EUR", 2)
    assert made == sample_of(Everything.model_json_schema())


@pytest.mark.parametrize(("limits", "number"), [({}, 1), ({"maximum": -3}, -3), ({"exclusiveMaximum": 1}, 0)])
def test_a_number_keeps_its_limits(limits: dict[str, int], number: int) -> None:
    assert sample_of({"type": "integer", **limits}) == number
