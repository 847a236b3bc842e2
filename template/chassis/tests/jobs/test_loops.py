"""The loops of a worker go on after every error and say what a person has to know, once."""

import asyncio
from time import monotonic

import asyncpg
import pytest
from structlog.testing import capture_logs

from chassis.data import Database, open_database
from chassis.jobs import Outbox, Transaction, Worker, _listener, _loops, _worker, handle
from chassis.jobs._listener import Listener
from chassis.jobs._loops import Loops
from chassis.jobs._outbox import NOTIFY
from chassis.settings import Settings

from tests.jobs.conftest import WRITE_EFFECT, Workers, WriteEffect, until

CUT_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_database USING (datname)
    WHERE NOT datallowconn AND pid <> pg_backend_pid()
"""
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_loops, "AWAY_SECONDS", 0.01)


async def test_a_loop_goes_on_after_any_error() -> None:
    stop, loops = asyncio.Event(), Loops()
    # The last is of something that a step awaited, and no end of the loop itself.
    errors: list[BaseException] = [OSError("no route"), RuntimeError(), asyncpg.DataError(), asyncio.CancelledError()]

    async def step() -> None:
        await asyncio.sleep(0)
        if errors:
            raise errors.pop()
        stop.set()

    with capture_logs() as logs:
        await loops.repeat("claim", step, stop)
    assert [entry["event"] for entry in logs] == ["worker loop failed"] * 4
    assert loops.failing == set()


async def test_a_worker_without_a_database_is_not_ready_and_recovers(settings: Settings, workers: Workers) -> None:
    """All its connections are cut, and the database refuses new ones for a while."""
    stop = asyncio.Event()
    address, _, name = settings.database_url.rpartition("/")
    admin = await asyncpg.connect(f"{address}/postgres")
    async with open_database(settings) as database:
        worker = Worker(database, [WRITE_EFFECT], settings, stop)
        running = asyncio.create_task(worker.run())
        await workers.queue([WRITE_EFFECT], WriteEffect())
        await until(lambda: workers.has_effects(1))
        assert await worker.ready()
        try:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await admin.execute(CUT_ALL)
            await until(lambda: _fails(worker))
        finally:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await admin.close()
        await until(worker.ready)
        await workers.queue([WRITE_EFFECT], WriteEffect())
        await until(lambda: workers.has_effects(2))
        stop.set()
        await running


async def _fails(worker: Worker) -> bool:
    return not await worker.ready()


@pytest.mark.parametrize("loop", ["_claim", "_maintain"])
async def test_a_worker_of_which_a_loop_hangs_is_not_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    monkeypatch.setattr(_worker, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(_worker, "POLL_SECONDS", 0.02)
    step, hangs = getattr(Worker, loop), False

    async def step_or_hang(worker: Worker) -> None:
        await (asyncio.Event().wait() if hangs else step(worker))

    monkeypatch.setattr(Worker, loop, step_or_hang)
    async with open_database(settings) as database:
        worker = Worker(database, [], settings.model_copy(update={"worker_lease": 0.1}), asyncio.Event())
        running = asyncio.create_task(worker.run())
        await until(worker.ready)
        hangs = True
        await until(lambda: _fails(worker))
        running.cancel()
        await asyncio.wait([running])


async def test_a_worker_that_has_no_place_for_another_job_is_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_worker, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(_worker, "POLL_SECONDS", 0.02)
    running, done, stop = 0, asyncio.Event(), asyncio.Event()

    async def wait(_task: WriteEffect, _transaction: Transaction) -> None:
        nonlocal running
        running += 1
        await done.wait()

    handlers = [handle(WriteEffect, wait)]
    few = settings.model_copy(update={"worker_concurrency": 2, "worker_lease": 0.5})
    async with open_database(few) as database:
        worker = Worker(database, handlers, few, stop)
        working = asyncio.create_task(worker.run())
        async with Outbox(database, handlers).transaction() as transaction:
            await transaction.publish(*(WriteEffect() for _ in range(2)))
        await until(lambda: _is(running == 2))
        began = monotonic()
        while monotonic() - began < 1:  # longer than a loop may hang
            assert await worker.ready()
            await asyncio.sleep(0.02)
        done.set()
        stop.set()
        await working


async def test_a_loop_that_ends_before_it_is_told_to_is_named() -> None:
    stop, loops = asyncio.Event(), Loops()

    async def step() -> None:
        await asyncio.sleep(0)

    ended = asyncio.create_task(loops.repeat("claim", step, stop))
    told = asyncio.create_task(loops.repeat("tick", step, stop))
    await asyncio.sleep(0)
    assert loops.ended == set()
    ended.cancel()
    await asyncio.wait([ended])
    stop.set()
    await told
    assert loops.ended == {"claim"}


async def _is(condition: bool) -> bool:  # noqa: FBT001  # as `until` asks for it
    return condition


@pytest.fixture
def news() -> asyncio.Event:
    return asyncio.Event()


async def test_it_listens_again_on_another_connection(
    database: Database, settings: Settings, news: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_listener, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(_listener, "AWAY_SECONDS", 0.01)
    stop = asyncio.Event()

    async def hears() -> bool:
        news.clear()
        await database.execute(NOTIFY)
        await asyncio.sleep(0.05)
        return news.is_set()

    with capture_logs() as logs:
        listening = asyncio.create_task(Listener(database, settings, stop, [news]).listen())
        await until(hears)
        await database.fetch(CUT)
        await until(lambda: _is(bool(logs)))
        await until(hears)
        stop.set()
        await listening
    assert {entry["event"] for entry in logs} == {"notifications unavailable, jobs are polled"}


async def test_notifications_that_do_not_arrive_are_said_with_what_to_do(
    database: Database, settings: Settings, news: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler in transaction mode, where the connection that listens is given to others."""
    monkeypatch.setattr(_listener, "ECHO_SECONDS", 0.1)
    elsewhere = settings.database_url.rpartition("/")[0] + "/postgres"
    deaf = settings.model_copy(update={"database_listen_url": elsewhere})
    stop = asyncio.Event()
    with capture_logs() as logs:
        listening = asyncio.create_task(Listener(database, deaf, stop, [news]).listen())
        await until(lambda: _is(bool(logs)))
        stop.set()
        await listening
    assert "DATABASE_LISTEN_URL" in logs[0]["event"]


async def test_an_idle_worker_hears_of_a_job_that_was_committed(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_worker, "POLL_SECONDS", 60.0)
    workers.settings = workers.settings.model_copy(update={"worker_lease": 60})
    async with workers.running([WRITE_EFFECT]):
        await workers.queue([WRITE_EFFECT], WriteEffect())
        await until(lambda: workers.has_effects(1))
        await asyncio.sleep(0.5)  # it has looked again, and waits
        await workers.queue([WRITE_EFFECT], WriteEffect())
        await until(lambda: workers.has_effects(2))


async def test_a_worker_that_only_polls_runs_jobs(workers: Workers) -> None:
    workers.settings = workers.settings.model_copy(update={"database_listen_url": "none"})
    async with workers.running([WRITE_EFFECT]):
        await workers.queue([WRITE_EFFECT], WriteEffect())
        await until(lambda: workers.has_effects(1))
    polling = workers.settings.model_dump() | {"database_listen_url": "none"}
    assert Settings.model_validate(polling).database_listen_url == "none"
