"""A committed event is published to other services, in order for each key, through every outage."""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from urllib.parse import unquote

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamConfig
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from chassis.data import Caller, Database
from chassis.dev.nats import NatsServer
from chassis.events import IntegrationEvent, _exchange, announce
from chassis.events._outbox import MAX_BYTES
from chassis.jobs import Outbox
from chassis.ops import metrics
from chassis.settings import StartError

from tests.events.conftest import SERVICE, Publish, Running, SampleTaken, read_events, unpublished
from tests.jobs.conftest import until


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exchange, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(_exchange, "LEAD_SECONDS", 2.0)
    monkeypatch.setenv("NATS_TIMEOUT", "0.5")


async def is_published(database: Database) -> bool:
    return await unpublished(database) == 0


async def test_an_event_is_published_as_a_cloud_event(
    database: Database, operator: JetStreamContext, running: Running
) -> None:
    caller = Caller("alice", "request-1", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00")
    before = datetime.now(UTC)
    async with Outbox(database, []).transaction(caller) as transaction:
        await announce(transaction, SampleTaken(text="tea", of="it"))
    event_id = str(await database.fetchval("SELECT event_id FROM chassis_outbox"))
    async with running():
        await until(lambda: is_published(database))
    [message] = await read_events(operator)
    assert message.subject == f"events.{SERVICE}.samples.taken.v1"
    assert json.loads(message.data) == {"text": "tea", "of": "it"}
    headers = dict(message.headers or {})
    assert abs(datetime.fromisoformat(headers.pop("ce-time")) - before) < timedelta(seconds=5)
    assert headers.pop("ce-traceparent").startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert headers == {
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-source": f"/{SERVICE}",
        "ce-type": f"{SERVICE}.samples.taken.v1",
        "ce-partitionkey": "it",
        "ce-requestid": "request-1",
        "content-type": "application/json",
        "Nats-Msg-Id": event_id,
    }


async def test_a_key_of_any_characters_does_not_break_the_headers(
    database: Database, operator: JetStreamContext, publish: Publish, running: Running
) -> None:
    keys = ["a\r\nce-id: 1", "ü 100%", "", "x" * 1000]
    await publish(*(SampleTaken(of=key) for key in keys))
    async with running():
        await until(lambda: is_published(database))
    found = [(message.headers or {})["ce-partitionkey"] for message in await read_events(operator)]
    assert [unquote(key) for key in found] == keys


async def test_what_is_rolled_back_is_not_published(
    database: Database, operator: JetStreamContext, publish: Publish, running: Running
) -> None:
    with pytest.raises(KeyError):
        async with Outbox(database, []).transaction() as transaction:
            await announce(transaction, SampleTaken(text="never"))
            raise KeyError
    await publish(SampleTaken(text="committed"))
    async with running():
        await until(lambda: is_published(database))
    assert [json.loads(message.data)["text"] for message in await read_events(operator)] == ["committed"]


async def test_events_of_a_key_are_in_order_and_all_are_there_once(
    database: Database, operator: JetStreamContext, publish: Publish, running: Running
) -> None:
    for start in range(0, 1200, 100):
        await publish(*(SampleTaken(text=str(number), of=str(number % 7)) for number in range(start, start + 100)))
    async with running():
        await until(lambda: is_published(database))
    events = [json.loads(message.data) for message in await read_events(operator)]
    assert len(events) == 1200
    for key in range(7):
        assert [int(event["text"]) for event in events if event["of"] == str(key)] == list(range(key, 1200, 7))


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
async def test_events_wait_for_the_server_and_are_then_published_in_order(  # noqa: PLR0913, PLR0917  # fixtures
    database: Database,
    broker: NatsServer,
    operator: JetStreamContext,
    publish: Publish,
    running: Running,
    end: signal.Signals,
) -> None:
    with capture_logs() as logs:
        async with running():
            await publish(*(SampleTaken(text=str(number), of="it") for number in range(3)))
            await until(lambda: is_published(database))
            assert broker.process
            broker.process.send_signal(end)
            await publish(*(SampleTaken(text=str(number), of="it") for number in range(3, 20)))
            await until(lambda: has_logged(logs, "NATS unavailable, events wait"))
            assert await unpublished(database) == 17
            if end is signal.SIGKILL:
                broker.kill()
                broker.start()
            else:
                broker.process.send_signal(signal.SIGCONT)
            await until(lambda: is_published(database))
            await until(lambda: has_logged(logs, "NATS available again"))
    assert [json.loads(message.data)["text"] for message in await read_events(operator)] == list(map(str, range(20)))
    events = [entry["event"] for entry in logs if "NATS" in entry["event"]]
    assert events == ["NATS unavailable, events wait", "NATS available again"]


async def has_logged(logs: Sequence[Mapping[str, object]], event: str) -> bool:
    return event in [entry["event"] for entry in logs]


def reason_in(logs: Sequence[Mapping[str, object]]) -> str:
    return str(next(entry["reason"] for entry in logs if entry["event"] == "NATS unavailable, events wait"))


PUT_BACK = "INSERT INTO chassis_outbox (event_id, kind, payload, request_id, traceparent) VALUES ($1, $2, $3, '', '')"


async def test_an_event_whose_acknowledgement_was_lost_is_stored_once(
    database: Database, operator: JetStreamContext, publish: Publish, running: Running
) -> None:
    await publish(*(SampleTaken(text=str(number)) for number in range(5)))
    rows = await database.fetch("SELECT * FROM chassis_outbox")
    async with running():
        await until(lambda: is_published(database))
        for row in rows:
            await database.execute(PUT_BACK, row["event_id"], row["kind"], row["payload"])
        await until(lambda: is_published(database))
    assert len(await read_events(operator)) == 5


async def test_an_event_that_the_stream_refuses_does_not_hold_up_others(
    database: Database, operator: JetStreamContext, publish: Publish, running: Running
) -> None:
    class TooLarge(IntegrationEvent):
        kind = "samples.enlarged.v1"
        text: str = "x"

    large = StreamConfig(name="large", subjects=[f"events.{SERVICE}.samples.enlarged.*"], max_msgs_per_subject=1)
    large.discard, large.discard_new_per_subject = DiscardPolicy.NEW, True
    await operator.add_stream(large)
    await operator.add_stream(name="taken", subjects=[f"events.{SERVICE}.samples.taken.*"])
    await operator.publish(f"events.{SERVICE}.samples.enlarged.v1")
    await publish(TooLarge(), SampleTaken(text="after it"))
    with capture_logs() as logs:
        async with running():
            await until(lambda: has_logged(logs, "NATS unavailable, events wait"))
            await until(lambda: is_left(database, 1))
    assert (await operator.stream_info("taken")).state.messages == 1
    assert "maximum messages" in reason_in(logs)


async def is_left(database: Database, count: int) -> bool:
    return await unpublished(database) == count


async def test_a_stream_of_the_operator_is_used(
    database: Database, operator: JetStreamContext, publish: Publish, running: Running
) -> None:
    await operator.add_stream(name="EVERYTHING", subjects=["events.>"])
    await publish(SampleTaken())
    async with running():
        await until(lambda: is_published(database))
    assert (await operator.stream_info("EVERYTHING")).state.messages == 1


async def test_a_stream_or_a_server_that_takes_only_small_events_is_not_used(  # noqa: PLR0913, PLR0917  # fixtures
    database: Database,
    broker: NatsServer,
    operator: JetStreamContext,
    publish: Publish,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await operator.add_stream(name="small", subjects=["events.>"], max_msg_size=1000)
    await publish(SampleTaken())
    with capture_logs() as logs:
        async with running():
            await until(lambda: has_logged(logs, "NATS unavailable, events wait"))
    assert "max_msg_size of the stream small is 1000" in reason_in(logs)
    monkeypatch.setattr(Client, "max_payload", 65_536)
    with capture_logs() as logs:
        async with running():
            await until(lambda: has_logged(logs, "NATS unavailable, events wait"))
    assert "max_payload of the server is 65536" in reason_in(logs)
    assert (broker.process is not None, await unpublished(database)) == (True, 1)


async def test_an_event_that_is_too_large_is_refused_where_it_is_announced(database: Database) -> None:
    async with Outbox(database, []).transaction() as transaction:
        with pytest.raises(ValueError, match="an event has at most 900000"):
            await announce(transaction, SampleTaken(text="x" * MAX_BYTES))
        await announce(transaction, SampleTaken(text="x" * (MAX_BYTES - 100)))


async def test_the_age_of_the_oldest_event_is_measured_and_logged_while_nats_is_unavailable(
    database: Database, broker: NatsServer, publish: Publish, running: Running
) -> None:
    broker.kill()
    await publish(SampleTaken())
    await database.execute("UPDATE chassis_outbox SET announced_at = now() - interval '2 minutes'")
    with capture_logs() as logs:
        async with running():
            await until(lambda: has_logged(logs, "NATS unavailable, events wait"))
            await asyncio.sleep(0.2)
            assert age_of_the_oldest() > 100
    late = [entry["oldest_seconds"] for entry in logs if entry["event"] == "events are published late"]
    assert len(late) == 1


def age_of_the_oldest() -> float:
    return REGISTRY.get_sample_value("events_unpublished_age_seconds") or 0


async def test_a_worker_that_loses_the_lead_forgets_the_age_of_the_oldest_event(
    database: Database, broker: NatsServer, publish: Publish, running: Running
) -> None:
    broker.kill()
    await publish(SampleTaken())
    metrics.EVENTS_UNPUBLISHED_AGE.set(nan)  # other tests leave one

    async def is_known() -> bool:
        return age_of_the_oldest() > 0

    async def is_forgotten() -> bool:
        return isnan(age_of_the_oldest())

    async with running():
        await until(is_known)
        await database.execute("UPDATE chassis_event_leader SET worker = gen_random_uuid(), until = now() + '1 minute'")
        await until(is_forgotten)


@pytest.mark.parametrize("kind", ["", "taken", "samples.taken", "samples.taken.v0", "Samples.taken.v1", None])
def test_a_kind_of_another_form_is_refused(kind: str | None) -> None:
    with pytest.raises(StartError, match=r'write one of the form `kind = "invoices.sent.v1"`'):
        type("Wrong", (IntegrationEvent,), {"kind": kind, "__module__": __name__} if kind is not None else {})
