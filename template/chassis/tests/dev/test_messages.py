"""What is queued is recorded: code that would make dead letters of it fails, until it reads the earlier payloads."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, override
from uuid import UUID

import pytest
from pydantic import Field

from chassis.dev import messages
from chassis.dev.documents import DocumentError
from chassis.jobs import Delivery, Event, Transaction, handle
from chassis.jobs._messages import Message

NAME = "dev.send"


class Sold(Event):
    thing_id: UUID
    color: Literal["red", "blue"] = "red"


class WithOptionalField(Sold):
    note: str | None = None


class WithRequiredFields(Sold):
    price: int
    currency: str


class WithFewerValues(Event):
    thing_id: UUID
    color: Literal["red"] = "red"


class WithoutField(Event):
    thing_id: UUID


class Upgraded(WithRequiredFields):
    delivery = Delivery(version=2)

    @classmethod
    @override
    def upgrade(cls, payload: dict[str, Any], version: int) -> dict[str, Any]:
        return payload | {"price": 1, "currency": "EUR"}


class UpgradedInPart(Upgraded):
    @classmethod
    @override
    def upgrade(cls, payload: dict[str, Any], version: int) -> dict[str, Any]:
        return payload | {"price": 1}


class NotUpgraded(WithRequiredFields):
    delivery = Delivery(version=2)


class NotMade(Event):
    code: str = Field(pattern="^[A-Z]{3}$")


async def send(_message: Message, _transaction: Transaction) -> None:
    """Do nothing."""


async def renamed(_message: Message, _transaction: Transaction) -> None:
    """Do nothing."""


type Change = Callable[..., None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "messages.json"


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Change:
    """Let the service have other handlers; at first it has one, which is recorded."""

    def make(kind: type[Message] | None, function: Callable[..., Any] = send, name: str | None = None) -> None:
        handlers = (handle(kind, function, name=name),) if kind else ()
        module = SimpleNamespace(handlers=handlers, subscriptions=())
        monkeypatch.setattr(messages, "service", lambda: SimpleNamespace(modules=(module,)))

    monkeypatch.setattr(messages, "project_folder", lambda: tmp_path)
    make(Sold)
    messages.write()
    return make


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(DocumentError) as raised:
        call()
    return str(raised.value)


def test_each_handler_has_its_schema_and_a_payload_as_it_is_queued(change: Change, file: Path) -> None:
    change(Sold)
    record = json.loads(file.read_text())[NAME]
    assert record["schema"] == Sold.model_json_schema()
    [payload] = record["payloads"]["1"]
    assert payload.keys() == Sold.model_fields.keys()
    assert messages.check() == "messages.json matches the code, which reads every payload in it."


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (WithRequiredFields, ["dev.send: field currency required", "dev.send: field price required"]),
        (WithFewerValues, ["dev.send.color: values changed"]),
        (WithoutField, ["dev.send: field color removed"]),
        (NotUpgraded, ["dev.send: a payload of version 1 is not read: ValueError: no NotUpgraded.upgrade reads"]),
        (UpgradedInPart, ["dev.send: a payload of version 1 is not read: currency: Field required"]),
        (None, ["dev.send: no handler has this name"]),
    ],
)
def test_what_does_not_read_an_earlier_payload_is_neither_passed_nor_recorded(
    change: Change, file: Path, kind: type[Message] | None, said: Sequence[str]
) -> None:
    before = file.read_text()
    change(kind)
    for call in (messages.check, messages.write):
        message = refused(call)
        assert message.startswith("Jobs that are queued would become dead letters:\n\n- ")
        assert all(f"- {each}" in message for each in said), message
    assert file.read_text() == before


def test_a_version_that_reads_the_earlier_one_is_recorded_beside_it(change: Change, file: Path) -> None:
    change(Upgraded)
    assert "not up to date with the code: type `uv run just messages`" in refused(messages.check)
    messages.write()
    assert "reads every payload" in messages.check()
    payloads = json.loads(file.read_text())[NAME]["payloads"]
    assert {version: len(samples) for version, samples in payloads.items()} == {"1": 1, "2": 1}
    change(Sold)
    assert "version 2 of Sold is later than 1" in refused(messages.check)


def test_an_optional_field_asks_for_the_recipe_and_both_payloads_are_kept(change: Change, file: Path) -> None:
    change(WithOptionalField)
    assert "not up to date" in refused(messages.check)
    messages.write()
    payloads = json.loads(file.read_text())[NAME]["payloads"]["1"]
    assert [payload.get("note") for payload in payloads] == [None, "a"]
    text = file.read_text()
    messages.write()
    assert file.read_text() == text


def test_a_handler_that_was_renamed_passes_under_its_earlier_name(change: Change) -> None:
    change(Sold, renamed)
    assert "- dev.send: no handler has this name" in refused(messages.check)
    change(Sold, renamed, name=NAME)
    assert "matches the code" in messages.check()


def test_a_new_handler_asks_for_the_recipe(change: Change, file: Path) -> None:
    file.unlink()
    change(Sold)
    assert "not up to date" in refused(messages.check)


def test_a_service_without_handlers_needs_no_file(change: Change, file: Path) -> None:
    file.unlink()
    change(None)
    messages.check()


def test_an_entry_that_was_taken_out_is_forgotten(change: Change, file: Path) -> None:
    messages.forget(["dev"])
    assert json.loads(file.read_text()) == {}
    change(None)
    messages.check()


def test_a_message_of_which_no_payload_can_be_made_asks_for_an_example(change: Change, file: Path) -> None:
    file.unlink()
    change(NotMade)
    message = refused(messages.write)
    assert message.startswith("dev.send: no payload of NotMade can be made, give its fields an example that is valid")
    assert "code: String should match pattern" in message


def test_a_file_with_conflicts_is_said(change: Change, file: Path) -> None:
    file.write_text("<<<<<<< HEAD\n{}\n")
    change(Sold)
    assert refused(messages.check).startswith("messages.json is not JSON: resolve its conflicts")
