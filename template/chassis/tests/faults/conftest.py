"""A database server to break, processes to kill, and a table of what came of it."""

import asyncio
import os
import sys
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Sequence,
)
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chassis.data import Database, open_database
from chassis.errors import Unavailable
from chassis.jobs import Message, Outbox
from chassis.runtime import handlers_of, load_module
from chassis.settings import Settings
from chassis.testing._databases import Server, execute

from tests.faults.fleet import MODULES, Fleet
from tests.faults.ledger import Ledger, table
from tests.faults.server import Postgres

TABLES = """
    CREATE TABLE effects (id uuid NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE fixes (at timestamptz NOT NULL DEFAULT now());
"""
DONE = "SELECT id FROM effects"
LEFT = "SELECT count(*) FROM chassis_jobs WHERE dead_at IS NULL"

type Record = Callable[..., None]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Not uvloop: a program that a thread starts while uvloop starts a process may crash in uvloop's fork handler."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Generator[tuple[Postgres, Server]]:
    """A server that this process of pytest may break, with the tables of the sample."""
    if sys.platform == "win32":
        pytest.skip("Windows freezes no process")
    postgres = Postgres()
    try:
        postgres.start()
        server = Server(postgres.url("postgres"), "faults", None)
        asyncio.run(server.make_template())
        yield postgres, server
    finally:
        postgres.remove()


@pytest.fixture
def server(postgres: tuple[Postgres, Server]) -> Generator[Postgres]:
    """The server; it runs at the beginning and at the end of a test."""
    yield postgres[0]
    postgres[0].thaw()
    postgres[0].start()


@pytest.fixture
async def address(server: Postgres, postgres: tuple[Postgres, Server]) -> str:
    """The address of a database of the test's own."""
    server.start()
    url = await postgres[1].copy(uuid4().hex)
    await execute(url, TABLES)
    return url


@pytest.fixture
async def fleet(address: str, tmp_path: Path) -> AsyncGenerator[Fleet]:
    fleet = Fleet(address, tmp_path)
    yield fleet
    await fleet.end()


@pytest.fixture
async def database(address: str) -> AsyncGenerator[Database]:
    """The test's own connections."""
    async with open_database(Settings.model_validate({"database_url": address})) as database:
        yield database


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, handlers_of([load_module(name) for name in MODULES]))


@pytest.fixture
def record(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Record:
    """Write a row of the table, and see that nothing was lost, doubled, done unasked or stuck."""

    def write(ledger: Ledger, done: Collection[UUID | str], recovery: float | None = None, beside: str = "") -> None:
        counts = ledger.settle(done)
        seconds = "" if recovery is None else f"{recovery:.1f} s"
        record_property("faults", [request.node.name, *map(str, counts), seconds, beside])
        _acknowledged, _done, *wrong = counts
        assert wrong == [0, 0, 0, 0]

    return write


async def publish(outbox: Outbox, ledger: Ledger, messages: Sequence[Message]) -> None:
    """Queue in one transaction, and note whether it was committed."""
    ids = {message.id for message in messages}
    try:
        async with asyncio.timeout(10), outbox.transaction() as transaction:
            await transaction.publish(*messages)
    except Exception:  # noqa: BLE001  # whatever it is, the commit may have arrived or not
        ledger.unknown |= ids
    else:
        ledger.acknowledged |= ids


async def done(database: Database) -> Sequence[UUID]:
    return [row["id"] for row in await database.fetch(DONE)]


async def settled(database: Database, ledger: Ledger, seconds: float = 30) -> None:
    """Wait until what was acknowledged is done and nothing is left on the queue, or note what is stuck."""
    try:
        async with asyncio.timeout(seconds):
            while not await _is_settled(database, ledger):
                await asyncio.sleep(0.1)
    except TimeoutError:
        ledger.stuck = await left(database)


async def _is_settled(database: Database, ledger: Ledger) -> bool:
    try:
        return not await left(database) and ledger.acknowledged <= set(await done(database))
    except Unavailable:
        return False


async def left(database: Database) -> int:
    """Count the jobs that are neither done nor dead letters."""
    count: int = await database.fetchval(LEFT)
    return count


type Act = Callable[[], Awaitable[None]]


@asynccontextmanager
async def going_on(*acts: tuple[float, Act]) -> AsyncGenerator[None]:
    """Do each of these again and again for the length of the block, so many seconds after its last end."""
    stop = asyncio.Event()

    async def repeat(seconds: float, act: Act) -> None:
        while not stop.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await stop.wait()
            except TimeoutError:
                await act()

    async with asyncio.TaskGroup() as group:
        for seconds, act in acts:
            group.create_task(repeat(seconds, act))
        try:
            yield
        finally:
            stop.set()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and keep it where FAULTS_TABLE says."""
    reports = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    rows = [row for report in reports for name, row in report.user_properties if name == "faults"]
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write(text := table(rows))
        if file := os.environ.get("FAULTS_TABLE"):
            Path(file).parent.mkdir(exist_ok=True)
            Path(file).write_text(text, encoding="utf-8")
