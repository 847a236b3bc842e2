"""An event of another service becomes a job, once for each handler and in order, whatever happens on the way."""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, override
from uuid import uuid4

import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from chassis.data import Database
from chassis.dev.nats import NatsServer
from chassis.events import ExternalEvent, _exchange, _ingest, subscribe, subscribe_without_transaction
from chassis.events._receipts import Received, position_of, receive
from chassis.jobs import Job, Transaction
from chassis.settings import Settings, StartError

from tests.events.conftest import Running
from tests.jobs.conftest import states, until
from tests.sample.service import service as sample

TYPE = "billing.invoices.paid.v1"
SUBJECT = f"events.{TYPE}"
WRITE = "INSERT INTO notes (id, owner, text) VALUES (gen_random_uuid(), $1, $2)"


class InvoicePaid(ExternalEvent):
    number: int
    account: str = ""

    @property
    @override
    def ordering_key(self) -> str | None:
        return self.account or None


async def on_paid(event: InvoicePaid, transaction: Transaction) -> None:
    await transaction.connection.execute(WRITE, event.account, str(event.number))


async def audit(event: InvoicePaid, job: Job) -> None:
    async with job.transaction() as transaction:
        await transaction.connection.execute(WRITE, "audit", str(event.number))


ON_PAID = subscribe(TYPE, InvoicePaid, on_paid)
NAME = ON_PAID.handler.name


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exchange, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(_ingest, "IDLE_SECONDS", 0.2)
    monkeypatch.setenv("NATS_TIMEOUT", "0.5")


@pytest.fixture
async def billing(operator: JetStreamContext) -> JetStreamContext:
    """Another service, which publishes to a stream of its own."""
    await operator.add_stream(name="billing-events", subjects=["events.billing.>"])
    return operator


async def publish(
    billing: JetStreamContext, number: object, *, account: str = "", event_id: str | None = None, more: object = None
) -> None:
    headers = {"ce-id": event_id or str(uuid4()), "ce-source": "/billing", "ce-type": TYPE, "ce-requestid": "request-1"}
    data = {"number": number, "account": account, "more": more}
    await billing.publish(SUBJECT, json.dumps(data).encode(), headers=headers)


async def written(database: Database, owner: str = "") -> list[int]:
    rows = await database.fetch("SELECT text FROM notes WHERE owner = $1 ORDER BY xmin::text::bigint", owner)
    return [int(row["text"]) for row in rows]


async def has(database: Database, count: int, owner: str = "") -> bool:
    return len(await written(database, owner)) == count


async def test_an_event_becomes_a_job_of_each_subscription(
    database: Database, billing: JetStreamContext, running: Running
) -> None:
    subscriptions = (ON_PAID, subscribe_without_transaction(TYPE, InvoicePaid, audit))
    await publish(billing, 1)  # before anybody has subscribed
    with capture_logs() as logs:
        async with running(*subscriptions):
            await publish(billing, 2, more={"unknown": True})
            await until(lambda: has(database, 2))
            await until(lambda: has(database, 2, "audit"))
    assert sorted(await written(database)) == [1, 2]
    assert len([entry for entry in logs if entry["event"] == "job done"]) == 4
    assert await states(database) == []


async def test_the_lag_of_a_subscription_is_known_without_an_event_and_forgotten_with_nats(
    broker: NatsServer, billing: JetStreamContext, running: Running
) -> None:
    del billing

    async def is_known() -> bool:
        return lag() == 0

    async def is_forgotten() -> bool:
        return lag() is None

    async with running(ON_PAID):
        await until(is_known)
        broker.kill()
        await until(is_forgotten)


def lag() -> float | None:
    return REGISTRY.get_sample_value("events_lag", {"job": NAME})


async def test_a_subscription_that_was_renamed_goes_on_where_it_was(
    database: Database, billing: JetStreamContext, running: Running
) -> None:
    async def on_paid_at_last(event: InvoicePaid, transaction: Transaction) -> None:
        await on_paid(event, transaction)

    await publish(billing, 1)
    async with running(ON_PAID):
        await until(lambda: has(database, 1))
    await publish(billing, 2)
    async with running(subscribe(TYPE, InvoicePaid, on_paid_at_last, name=NAME)):
        await until(lambda: has(database, 2))
    assert sorted(await written(database)) == [1, 2]


async def test_an_event_that_comes_again_is_handled_once_for_each_handler(
    database: Database, billing: JetStreamContext, running: Running
) -> None:
    """As when its publisher did not hear that the stream has it, long after its stream forgets message ids."""
    async with running(ON_PAID):
        for _ in range(3):
            await publish(billing, 1, event_id="the-same")
        await publish(billing, 2)
        await until(lambda: has(database, 2))
        await publish(billing, 1, event_id="the-same")
        await publish(billing, 3)
        await until(lambda: has(database, 3))
    assert sorted(await written(database)) == [1, 2, 3]


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
async def test_no_event_is_missed_or_out_of_order_when_the_server_was_unavailable(
    database: Database, broker: NatsServer, billing: JetStreamContext, running: Running, end: signal.Signals
) -> None:
    async with running(ON_PAID):
        for number in range(50):
            await publish(billing, number, account="a")
        await until(lambda: has_some(database))
        assert broker.process
        broker.process.send_signal(end)
        await asyncio.sleep(0.2)
        if end is signal.SIGKILL:
            broker.kill()
            broker.start()
        else:
            broker.process.send_signal(signal.SIGCONT)
        await until(lambda: can_publish(billing))
        for number in range(50, 100):
            await publish(billing, number, account="a")
        await until(lambda: has(database, 100, "a"))
    assert await written(database, "a") == list(range(100))


async def has_some(database: Database) -> bool:
    return bool(await written(database, "a"))


async def can_publish(billing: JetStreamContext) -> bool:
    try:
        await billing.publish("events.billing.probe", timeout=0.5)
    except Exception:  # noqa: BLE001  # not yet
        return False
    return True


async def test_a_thousand_events_of_some_keys_are_handled_in_order(
    database: Database, billing: JetStreamContext, running: Running
) -> None:
    for number in range(1000):
        data = json.dumps({"number": number, "account": f"account {number % 50}"}).encode()
        await billing.publish_async(SUBJECT, data, headers={"ce-id": str(number), "ce-source": "/billing"})
    await billing.publish_async_completed()
    async with running(ON_PAID):
        await until(lambda: has_all(database))
    for key in range(50):
        assert await written(database, f"account {key}") == list(range(key, 1000, 50))


async def has_all(database: Database) -> bool:
    return bool(await database.fetchval("SELECT count(*) = 1000 FROM notes"))


@pytest.mark.parametrize(
    "payload",
    [b"no json", b"\xff\x00", b'{"number": "many"}', b"", b"[" * 10_000],
    ids=["text", "bytes", "type", "empty", "deep"],
)
async def test_what_cannot_be_read_becomes_a_dead_letter_with_its_content_and_blocks_nothing(
    database: Database, billing: JetStreamContext, running: Running, payload: bytes
) -> None:
    await billing.publish(SUBJECT, payload, headers={"ce-id": "1", "ce-source": "/billing"})
    await publish(billing, 2)
    async with running(ON_PAID):
        await until(lambda: has(database, 1))
        await until(lambda: is_dead(database))
    assert await database.fetchval("SELECT payload FROM chassis_jobs") == payload


@pytest.mark.parametrize("account", ["a\0b", "x" * 5000, "\ud800", "ü"])
async def test_an_ordering_key_of_any_characters_orders(
    database: Database, billing: JetStreamContext, running: Running, account: str
) -> None:
    async def note(event: InvoicePaid, transaction: Transaction) -> None:
        await transaction.connection.execute(WRITE, "", str(event.number))

    for number in range(5):
        await publish(billing, number, account=account)
    async with running(subscribe(TYPE, InvoicePaid, note)):
        await until(lambda: is_done_or_dead(database, 5))
    assert await written(database) in ([0, 1, 2, 3, 4], [])


async def is_done_or_dead(database: Database, count: int) -> bool:
    return len(await written(database)) == count or await states(database) == [("dead", 1)] * count


async def test_attributes_of_any_characters_do_not_block_the_stream(
    database: Database, billing: JetStreamContext, running: Running
) -> None:
    headers = {"Content-Type": "application/cloudevents+json"}
    for number, text in enumerate(["\ud800", "a\0b", "x" * 10_000]):
        envelope = {"id": text, "source": text, "requestid": text, "traceparent": text, "data": {"number": number}}
        await billing.publish(SUBJECT, json.dumps(envelope).encode(), headers=headers)
    await billing.publish(SUBJECT, b"[" * 50_000, headers=headers)
    async with running(ON_PAID):
        await until(lambda: has(database, 3))
        await until(lambda: is_dead(database))


async def test_events_that_were_lost_on_the_way_are_read_again(
    database: Database, billing: JetStreamContext, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, losses = _ingest.Ingest._fetch, [1, 1]  # noqa: SLF001  # a loss that cannot be caused from outside

    async def lose_one(*arguments: Any) -> Sequence[Msg]:  # noqa: ANN401  # as fetch's
        messages = await fetch(*arguments)
        return messages[losses.pop() :] if messages and losses else messages

    monkeypatch.setattr(_ingest.Ingest, "_fetch", lose_one)
    for number in range(20):
        await publish(billing, number, account="a")
    with capture_logs() as logs:
        async with running(ON_PAID):
            await until(lambda: has(database, 20, "a"))
    assert await written(database, "a") == list(range(20))
    assert [entry["event"] for entry in logs].count("events are read again after a gap") >= 1


async def is_dead(database: Database) -> bool:
    return await states(database) == [("dead", 1)]


async def test_events_in_structured_mode_and_plain_messages_are_received(
    database: Database, billing: JetStreamContext, running: Running
) -> None:
    envelope = {"specversion": "1.0", "id": "1", "source": "/billing", "type": TYPE, "data": {"number": 1}}
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    for _ in range(2):
        await billing.publish(SUBJECT, json.dumps(envelope).encode(), headers=headers)
    await billing.publish(SUBJECT, b'{"number": 2}')
    await billing.publish(SUBJECT, b'{"number": 2}')
    await billing.publish(SUBJECT, b"no json", headers=headers)
    async with running(ON_PAID):
        await until(lambda: has(database, 3))
        await until(lambda: is_dead(database))
    assert sorted(await written(database)) == [1, 2, 2]


async def test_a_job_has_the_ids_of_what_caused_its_event(database: Database, billing: JetStreamContext) -> None:
    del billing
    headers = {"ce-id": "1", "ce-source": "/billing", "ce-requestid": "request-1"}
    headers["ce-traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    received = Received.of(headers, b"{}", 1, datetime.now(UTC))
    assert (received.request_id, received.traceparent[3:35]) == ("request-1", "0af7651916cd43dd8448eb211c80319c")
    position = await position_of(database, ON_PAID)
    assert await receive(database, ON_PAID, [received], position) == 1
    row = await database.fetchrow("SELECT request_id, traceparent, message_id FROM chassis_jobs")
    assert tuple(row or ()) == (received.request_id, received.traceparent, received.id)


async def test_of_two_workers_that_receive_the_same_one_changes_nothing(database: Database) -> None:
    events = [Received.of({"ce-id": str(number)}, b"{}", number, datetime.now(UTC)) for number in (1, 2)]
    position = await position_of(database, ON_PAID)
    results = await asyncio.gather(*(receive(database, ON_PAID, events, position) for _ in range(5)))
    assert sorted(results, key=str) == [2, None, None, None, None]
    assert len(await states(database)) == 2


async def test_a_subscription_waits_for_its_stream(
    database: Database, operator: JetStreamContext, running: Running
) -> None:
    with capture_logs() as logs:
        async with running(ON_PAID):
            await until(lambda: is_logged(logs, "no stream has the events of a subscription"))
            await operator.add_stream(name="billing-events", subjects=["events.billing.>"])
            await publish(operator, 1)
            await until(lambda: has(database, 1))
    assert len([entry for entry in logs if entry["event"].startswith("no stream")]) == 1


async def is_logged(logs: Sequence[Mapping[str, object]], event: str) -> bool:
    return event in [entry["event"] for entry in logs]


async def test_a_stream_that_was_made_anew_is_received_from_its_first_event(
    database: Database, billing: JetStreamContext, running: Running
) -> None:
    async with running(ON_PAID):
        for number in range(5):
            await publish(billing, number)
        await until(lambda: has(database, 5))
    await billing.delete_stream("billing-events")
    await billing.add_stream(name="billing-events", subjects=["events.billing.>"])
    await publish(billing, 7)
    with capture_logs() as logs:
        async with running(ON_PAID):
            await until(lambda: has(database, 6))
    assert await is_logged(logs, "stream begins anew, its events are received from the first")


async def replay(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    await asyncio.to_thread(sample.main, ["events", "replay", NAME, *arguments])


async def test_events_are_handled_again_from_a_position_or_a_time(  # noqa: PLR0913, PLR0917  # fixtures
    database: Database,
    settings: Settings,
    billing: JetStreamContext,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running(ON_PAID):
        for number in range(4):
            await publish(billing, number)
        await until(lambda: has(database, 4))
        await replay(settings, monkeypatch, "--position", "3")
        await until(lambda: has(database, 6))
        await replay(settings, monkeypatch, "--since", "2026-01-01T00:00")
        await until(lambda: has(database, 10))
    assert sorted(await written(database)) == sorted([*range(4), 2, 3, *range(4)])
    assert f"{NAME} receives the events from position 3 on again." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "2999-01-01T00:00"], "has received no such event"),
        (["--since", "yesterday"], "--since is a time as in"),
        (["--position", "0"], "--position is a number from 1"),
        (["--position", "9" * 30], "--position is a number from 1"),
        ([], "one of the arguments --since --position is required"),
    ],
)
async def test_a_replay_of_nothing_is_refused_in_one_line(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    with pytest.raises(SystemExit):
        await replay(settings, monkeypatch, *arguments)
    assert says in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("event_type", ["", "billing", "billing.>", "billing.*.v1", "billing invoices.v1"])
def test_a_type_of_another_form_is_refused(event_type: str) -> None:
    with pytest.raises(StartError, match="write a type as in"):
        subscribe(event_type, InvoicePaid, on_paid)
