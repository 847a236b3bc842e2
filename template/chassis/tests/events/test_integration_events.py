"""A committed event is announced once to other services, however often its job runs, and waits while NATS is down."""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import nats
import pytest
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError
from structlog.testing import capture_logs

from chassis.data import Caller
from chassis.events import IntegrationEvent, announce
from chassis.events._integration_events import MAX_BYTES, time_of
from chassis.jobs import Delivery, Event, Handler, Job, Outbox, handle_without_transaction
from chassis.jobs._queue import Claim
from chassis.settings import StartError

from tests.events.conftest import SERVICE, PublishingWorkers
from tests.events.server import NatsServer
from tests.events.subscriber import read_events
from tests.jobs.conftest import WRITE_EFFECT, Workers, WriteEffect, until

SUBJECT = f"{SERVICE}.events.samples.taken.v1"


class Taken(Event):
    delivery = Delivery(max_attempts=2)
    text: str = "x"


class SampleTaken(IntegrationEvent):
    kind = "samples.taken.v1"
    text: str


async def announce_taken(event: Taken, job: Job) -> None:
    await announce(job, SampleTaken(text=event.text))


async def announce_and_fail_once(event: Taken, job: Job) -> None:
    await announce_taken(event, job)
    if job.attempt == 1:
        raise RuntimeError


ANNOUNCE = [handle_without_transaction(Taken, announce_taken)]
STATES = "SELECT count(*), max(attempts) FROM pgqueuer WHERE status <> 'failed'"
ERRORS = "SELECT array_agg(traceback ->> 'exception_message') FROM pgqueuer_log WHERE status = 'failed'"


async def is_idle(workers: Workers) -> bool:
    return not await workers.database.pool.fetchval("SELECT EXISTS (SELECT FROM pgqueuer WHERE status <> 'failed')")


async def finish(workers: PublishingWorkers, handlers: Sequence[Handler]) -> None:
    """Have a worker until no job waits."""
    async with workers.running(handlers):
        await until(lambda: is_idle(workers))


async def test_an_event_is_announced_as_a_cloud_event(workers: PublishingWorkers) -> None:
    event = Taken(text="tea")
    before = datetime.now(UTC)
    async with Outbox(workers.database, ANNOUNCE).transaction(Caller(request_id="request-1")) as transaction:
        await transaction.publish(event)
    await finish(workers, ANNOUNCE)
    [message] = await read_events(SERVICE)
    assert message.subject == SUBJECT
    assert json.loads(message.data) == {"text": "tea"}
    headers = message.headers or {}
    assert {name: value for name, value in headers.items() if name.startswith("ce-") and name != "ce-time"} == {
        "ce-specversion": "1.0",
        "ce-id": f"{event.id}:events.announce_taken:samples.taken.v1",
        "ce-source": f"/{SERVICE}",
        "ce-type": f"{SERVICE}.samples.taken.v1",
        "ce-datacontenttype": "application/json",
        "ce-requestid": "request-1",
    }
    assert abs(datetime.fromisoformat(headers["ce-time"]) - before) < timedelta(seconds=5)


async def test_what_is_announced_twice_is_there_once(workers: PublishingWorkers) -> None:
    handlers = [handle_without_transaction(Taken, announce_and_fail_once)]
    await workers.queue(handlers, *(Taken() for _ in range(10)))
    await finish(workers, handlers)
    assert len(await read_events(SERVICE)) == 10


async def test_several_of_a_kind_have_keys(workers: PublishingWorkers) -> None:
    async def announce_each(event: Taken, job: Job) -> None:
        for part in event.text.split(","):
            await announce(job, SampleTaken(text=part), part)

    handlers = [handle_without_transaction(Taken, announce_each)]
    await workers.queue(handlers, Taken(text="a,a ,é,%"), Taken(text="a,a"))
    await finish(workers, handlers)
    assert sorted(json.loads(message.data)["text"] for message in await read_events(SERVICE)) == sorted(
        ["a", "a ", "é", "%", "a"]
    )
    [error] = await workers.database.pool.fetchval(ERRORS)
    assert error == "events.announce_each did samples.taken.v1:a before in this run: give each a key of its own"


async def test_events_wait_for_the_server_and_no_run_is_counted(workers: PublishingWorkers, broker: NatsServer) -> None:
    async with workers.running(ANNOUNCE):
        await workers.queue(ANNOUNCE, Taken())
        await until(lambda: is_idle(workers))
        broker.kill()
        await workers.queue(ANNOUNCE, *(Taken() for _ in range(5)))
        with capture_logs() as logs:
            await until(lambda: has_tried(logs, 8))
        await until(lambda: waits(workers, 5))
        broker.start()
        await until(lambda: is_idle(workers))
    assert await workers.dead_letters() == 0
    assert len(await read_events(SERVICE)) == 6


async def waits(workers: Workers, count: int) -> bool:
    """Say whether so many jobs wait and none of their runs counts."""
    return [tuple(row) for row in await workers.database.pool.fetch(STATES)] == [(count, 0)]


async def has_tried(logs: Sequence[Mapping[str, object]], count: int) -> bool:
    return [entry["event"] for entry in logs].count("event delayed, NATS unavailable") >= count


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
async def test_other_jobs_go_on_meanwhile(workers: PublishingWorkers, broker: NatsServer, end: signal.Signals) -> None:
    handlers = [*ANNOUNCE, WRITE_EFFECT]
    async with workers.running(handlers):
        await workers.queue(handlers, Taken())
        await until(lambda: is_idle(workers))
        assert broker.process
        broker.process.send_signal(end)
        await workers.queue(handlers, *(Taken() for _ in range(300)))
        await workers.queue(handlers, *(WriteEffect() for _ in range(20)))
        await until(lambda: workers.has_effects(20))
        broker.process.send_signal(signal.SIGCONT)
    assert await workers.database.pool.fetchval("SELECT max(attempts) FROM pgqueuer") == 0


async def test_a_worker_that_starts_without_the_server_announces_later(
    workers: PublishingWorkers, broker: NatsServer
) -> None:
    broker.kill()
    await workers.queue(ANNOUNCE, Taken())
    async with workers.running(ANNOUNCE):
        await asyncio.sleep(2.5)
        assert not await is_idle(workers)
        broker.start()
        await until(lambda: is_idle(workers))
    assert await workers.dead_letters() == 0
    assert len(await read_events(SERVICE)) == 1


async def test_a_job_that_runs_when_the_worker_is_told_to_end_can_announce(workers: PublishingWorkers) -> None:
    begun = asyncio.Event()

    async def announce_late(event: Taken, job: Job) -> None:
        begun.set()
        await asyncio.sleep(2)
        await announce_taken(event, job)

    handlers = [handle_without_transaction(Taken, announce_late)]
    await workers.queue(handlers, Taken())
    async with workers.running(handlers):
        await begun.wait()
    assert await is_idle(workers)
    assert len(await read_events(SERVICE)) == 1


async def test_two_handlers_of_an_event_may_announce_alike(workers: PublishingWorkers) -> None:
    async def announce_too(event: Taken, job: Job) -> None:
        await announce_taken(event, job)

    handlers = [*ANNOUNCE, handle_without_transaction(Taken, announce_too)]
    await workers.queue(handlers, Taken())
    await finish(workers, handlers)
    assert len(await read_events(SERVICE)) == 2


async def test_the_stream_is_made_although_a_subscriber_is_there_already(
    workers: PublishingWorkers, broker: NatsServer
) -> None:
    subscriber = await nats.connect(broker.url)
    await subscriber.subscribe(f"{SERVICE}.events.>")
    try:
        for _ in range(2):
            await workers.queue(ANNOUNCE, Taken())
            await finish(workers, ANNOUNCE)
            assert len(await read_events(SERVICE)) == 1
            await workers.operator.delete_stream(f"{SERVICE}-events")
    finally:
        await subscriber.close()


async def test_what_the_operators_stream_refuses_is_a_dead_letter(workers: PublishingWorkers) -> None:
    await workers.operator.add_stream(StreamConfig(name="theirs", subjects=[f"{SERVICE}.events.>"], max_msg_size=1000))
    await workers.queue(ANNOUNCE, Taken(text="x" * 2000), Taken())
    await finish(workers, ANNOUNCE)
    assert await workers.dead_letters() == 1


async def test_several_at_once_wait_as_well(workers: PublishingWorkers, broker: NatsServer) -> None:
    async def announce_all(event: Taken, job: Job) -> None:
        async with asyncio.TaskGroup() as group:
            for letter in event.text:
                group.create_task(announce(job, SampleTaken(text=letter), letter))

    handlers = [handle_without_transaction(Taken, announce_all)]
    broker.kill()
    await workers.queue(handlers, Taken(text="abc"))
    with capture_logs() as logs:
        async with workers.running(handlers):
            await until(lambda: has_tried(logs, 9))
            await until(lambda: waits(workers, 1))
            broker.start()
            await until(lambda: is_idle(workers))
    assert await workers.dead_letters() == 0
    assert len(await read_events(SERVICE)) == 3


async def test_a_stream_of_the_operators_own_is_used_as_it_is(workers: PublishingWorkers) -> None:
    await workers.operator.add_stream(StreamConfig(name="theirs", subjects=[f"{SERVICE}.events.samples.>"]))
    await workers.queue(ANNOUNCE, Taken())
    await finish(workers, ANNOUNCE)
    assert (await workers.operator.stream_info("theirs")).state.messages == 1
    assert await read_events(SERVICE) == []


async def test_the_stream_may_have_another_name(workers: PublishingWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_STREAM", "shop")
    await workers.queue(ANNOUNCE, Taken())
    await finish(workers, ANNOUNCE)
    assert await read_events(SERVICE) == []
    [message] = await read_events("shop")
    assert message.subject == "shop.events.samples.taken.v1"
    assert (message.headers or {})["ce-source"] == f"/{SERVICE}"


async def test_without_a_server_no_event_is_published(
    workers: PublishingWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NATS_URL")
    await workers.queue(ANNOUNCE, Taken())
    with capture_logs() as logs:
        await finish(workers, ANNOUNCE)
    assert "event not announced, NATS_URL is empty" in [entry["event"] for entry in logs]
    assert await workers.dead_letters() == 0
    with pytest.raises(NotFoundError):
        await workers.operator.stream_info(f"{SERVICE}-events")


async def test_what_is_too_large_is_a_dead_letter(workers: PublishingWorkers) -> None:
    await workers.queue(ANNOUNCE, Taken(text="x" * MAX_BYTES))
    await finish(workers, ANNOUNCE)
    assert await workers.dead_letters() == 1
    assert await read_events(SERVICE) == []


async def test_an_event_whose_id_has_no_time_happened_now(workers: PublishingWorkers) -> None:
    await workers.queue(ANNOUNCE, Taken(id=uuid4()))
    await finish(workers, ANNOUNCE)
    [message] = await read_events(SERVICE)
    happened = datetime.fromisoformat((message.headers or {})["ce-time"])
    assert abs(datetime.now(UTC) - happened) < timedelta(minutes=1)


async def test_only_a_worker_announces(outbox: Outbox) -> None:
    job = Job(outbox.transaction, Claim(1, uuid4(), 1), "events.announce_taken", uuid4(), Caller())
    with pytest.raises(RuntimeError, match="only a handler that a worker runs can announce"):
        await announce(job, SampleTaken(text="x"))


@pytest.mark.parametrize("name", ["taken", "samples.taken", "Samples.taken.v1", "samples.taken.v0", "samples.>.v1"])
def test_a_kind_has_one_form(name: str) -> None:
    with pytest.raises(StartError, match=rf"Badly: its kind is '{name}', write one of the form"):
        type("Badly", (IntegrationEvent,), {"kind": name, "__annotations__": {}, "__module__": __name__})


def test_an_event_has_a_kind() -> None:
    with pytest.raises(StartError, match="Badly: its kind is None"):
        type("Badly", (IntegrationEvent,), {"__annotations__": {}, "__module__": __name__})


def test_the_id_of_a_message_says_when() -> None:
    known = UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")  # RFC 9562, appendix A.6
    assert time_of(known) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
