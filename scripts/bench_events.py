"""Times the relay and the receipt of integration events beside bare JetStream and a bare insert: `just bench-events`.

In each round, on one PostgreSQL with default durability and one NATS server, run one after the other: events are
published from the outbox, the same payloads are published to JetStream alone, the events are received as jobs, and the
same rows are inserted alone. Runs in the environment of the chassis.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

import chassis.events
import chassis.jobs
from chassis.data import Database, open_database
from chassis.data.migration import migrate
from chassis.dev.nats import NatsServer
from chassis.dev.postgres import Cluster
from chassis.events import ExternalEvent, IntegrationEvent, announce, subscribe
from chassis.events._broker import Broker, connected
from chassis.events._ingest import Ingest
from chassis.events._relay import Relay
from chassis.events._settings import NatsSettings
from chassis.jobs import NewJob, Outbox, Transaction, insert
from chassis.ops import run
from chassis.settings import Settings, load

SERVICE = "bench"
SUBJECT = f"events.{SERVICE}.things.made.v1"
BATCH = 500
EMPTY = "TRUNCATE chassis_outbox, chassis_jobs, chassis_subscriptions, chassis_received_events"


class ThingMade(IntegrationEvent):
    kind = "things.made.v1"
    text: str = "x" * 200


class Thing(ExternalEvent):
    text: str


async def handle(_event: Thing, _transaction: Transaction) -> None:
    """Do nothing: what is timed ends with the job on the queue."""


SUBSCRIPTION = subscribe(f"{SERVICE}.things.made.v1", Thing, handle)
PAYLOAD = ThingMade().model_dump_json().encode()
# As many as the relay sends.
HEADERS = {f"ce-attribute-{number}": "a value" for number in range(6)}
BARE = NewJob("bare", uuid4(), 1, PAYLOAD, 0, is_limited=False, ordering_key=None, request_id="", traceparent="")


class Bench:
    """What is measured, as events in a second."""

    def __init__(self, database: Database, broker: Broker, count: int) -> None:
        self._database = database
        self._broker = broker
        self._count = count

    async def round(self) -> dict[str, float]:
        await self._database.execute(EMPTY)
        outbox = Outbox(self._database, [])
        for _ in range(self._count // BATCH):
            async with outbox.transaction() as transaction:
                for _ in range(BATCH):
                    await announce(transaction, ThingMade())
        return {
            "relay": await self._timed(self._relay),
            "publish": await self._timed(self._publish),
            "receive": await self._timed(self._receive),
            "insert": await self._timed(self._insert),
        }

    async def forget(self) -> None:
        """Empty the streams."""
        for name in (f"{SERVICE}-events", "bare"):
            await self._broker.jetstream.purge_stream(name)

    async def _timed(self, act: Callable[[], Awaitable[None]]) -> float:
        await self._database.execute("CHECKPOINT")
        begun = time.perf_counter()
        await act()
        return self._count / (time.perf_counter() - begun)

    async def _relay(self) -> None:
        relay = Relay(self._database, SERVICE)
        while await self._database.fetchval("SELECT EXISTS (SELECT FROM chassis_outbox)"):
            await relay.publish_batch(self._broker)

    async def _publish(self) -> None:
        """Publish with as many acknowledgements outstanding as the relay has."""
        jetstream = self._broker.jetstream
        for _ in range(self._count // BATCH):
            futures = [
                await jetstream.publish_async("bare", PAYLOAD, headers={**HEADERS, "Nats-Msg-Id": str(uuid4())})
                for _ in range(BATCH)
            ]
            await asyncio.gather(*futures)

    async def _receive(self) -> None:
        """Receive the events that the relay has published."""
        receiving = asyncio.create_task(Ingest(self._database, SUBSCRIPTION).run(self._broker))
        while await self._database.fetchval("SELECT count(*) FROM chassis_jobs") < self._count:  # noqa: ASYNC110  # it sets no event
            await asyncio.sleep(0.05)
        receiving.cancel()
        await asyncio.wait([receiving])

    async def _insert(self) -> None:
        """Insert the same rows, without the ids of what was received and without a stream."""
        for _ in range(self._count // BATCH):
            async with self._database.transaction() as connection:
                await insert(connection, [BARE._replace(message_id=uuid4()) for _ in range(BATCH)])


@asynccontextmanager
async def opened(folder: Path, count: int) -> AsyncGenerator[Bench]:
    """Start both servers and connect to them."""
    cluster, nats = Cluster(folder / "postgres"), NatsServer(folder / "nats")
    cluster.start()
    nats.start()
    try:
        os.environ["NATS_URL"] = nats.url
        os.environ["DATABASE_URL"] = cluster.url("postgres")
        settings = load(Settings)
        rooms = {"chassis_jobs": chassis.jobs, "chassis_events": chassis.events}
        await migrate(settings, {owner: Path(room.__path__[0]) / "migrations" for owner, room in rooms.items()})
        async with open_database(settings) as database, connected(load(NatsSettings), SERVICE) as broker:
            await broker.jetstream.add_stream(name="bare", subjects=["bare"])
            yield Bench(database, broker, count)
    finally:
        nats.stop()
        cluster.stop()


async def measure(folder: Path, rounds: int, count: int) -> list[dict[str, float]]:
    """Measure after a round that warms up."""
    measured: list[dict[str, float]] = []
    async with opened(folder, count) as bench:
        for _ in range(rounds + 1):
            measured.append(await bench.round())
            await bench.forget()
    return measured[1:]


def report(measured: list[dict[str, float]]) -> str:
    lines = ["| measurement | events/s | reference | ratio (range) | goal |", "| --- | --- | --- | --- | --- |"]
    for own, other, reference, goal in (
        ("relay", "publish", "bare JetStream publish", 5000),
        ("receive", "insert", "bare batch insert", 3000),
    ):
        rates = median(each[own] for each in measured), median(each[other] for each in measured)
        ratios = [each[own] / each[other] for each in measured]
        verdict = "met" if rates[0] >= goal else "missed"
        lines.append(
            f"| {own} | {rates[0]:,.0f} | {rates[1]:,.0f} {reference} "
            f"| {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | at least {goal:,}/s: {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=5000, help=f"in each round, a multiple of {BATCH}")
    options = parser.parse_args()
    measured: list[dict[str, float]] = []

    async def all_rounds(folder: Path) -> None:
        measured.extend(await measure(folder, options.rounds, options.events))

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user when root runs this
        run(all_rounds(Path(folder)))
    print(report(measured))


if __name__ == "__main__":
    main()
