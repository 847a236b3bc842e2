"""The fixtures: a database emptied before each test, the API in process, the worker until it is idle."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from asyncpg.connection import LoggedQuery
from fastapi import FastAPI
from fastapi import Request as ApiRequest
from httpx import ASGITransport, AsyncClient
from pydantic_core import to_json

from chassis.data import Connection, Database, open_database
from chassis.data._database import Loan
from chassis.data._pool import Pool
from chassis.dev import project
from chassis.dev.postgres import forget_variables
from chassis.http import Application, connect
from chassis.identity import Principal, bearer
from chassis.jobs import Handler, Outbox, Worker, _runner
from chassis.runtime import Service, handlers_of, subscriptions_of
from chassis.settings import Settings
from chassis.testing._databases import EMPTY, Server, execute, in_database
from chassis.testing._types import Announced, Drain, PlanOf, Receive

# The header field by which a test says what its caller may do.
SCOPES = "x-test-scopes"
server_key = pytest.StashKey[Server]()


def pytest_configure() -> None:
    """Keep the tests' own log lines plain, since tracebacks with all local variables take seconds to draw.

    Let clients reach the servers of tests on this machine past a proxy that the shell has set.
    """
    hosts = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = ",".join(filter(None, (hosts, "127.0.0.1", "localhost")))
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
    if "DATABASE_URL" not in os.environ:
        forget_variables()  # in each worker of pytest-xdist


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that start processes: they take longest, and what is left fills the other workers."""
    items.sort(key=lambda item: "start" not in getattr(item, "fixturenames", ()))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401  # pytest-xdist has no types
    """Tell each worker of pytest-xdist where the one server of the run is."""
    node.workerinput["server"] = asdict(_server(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    if server := config.stash.get(server_key, None):
        server.stop()


def _server(config: pytest.Config) -> Server:
    if server_key not in config.stash:
        config.stash[server_key] = Server.start()
    return config.stash[server_key]


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": os.name != "nt"}


@pytest.fixture(scope="session")
def service() -> Service:
    """The service that `[tool.chassis] service` of pyproject.toml names."""
    return project.service()


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Server:
    workerinput = getattr(pytestconfig, "workerinput", None)
    return Server(**workerinput["server"]) if workerinput else _server(pytestconfig)


@pytest.fixture(scope="session")
def worker_database(server: Server, worker_id: str) -> str:
    return asyncio.run(server.copy(worker_id))


@pytest.fixture
def empty(server: Server, worker_id: str) -> Generator[Settings]:
    """Settings for a database without a table."""
    name = f"{server.template}_{worker_id}_empty"
    asyncio.run(execute(server.url, f"CREATE DATABASE {name}"))
    yield Settings.model_validate({"database_url": in_database(server.url, name)})
    asyncio.run(execute(server.url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def settings(worker_database: str) -> Settings:
    """Settings for an empty database, with few attempts at a job."""
    await execute(worker_database, EMPTY)
    return Settings.model_validate({"database_url": worker_database, "worker_max_attempts": 3})


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    async with open_database(settings) as database:
        yield database


@pytest.fixture
def outbox(database: Database, service: Service) -> Outbox:
    return Outbox(database, handlers_of(service.modules))


async def authenticate(request: ApiRequest, scopes: Sequence[str]) -> Principal:
    """Accept the name that a test gives as a token, with the scopes that the test gives it, by default every scope."""
    granted = request.headers.get(SCOPES)
    return Principal(bearer(request), frozenset(scopes if granted is None else granted.split()))


@pytest.fixture
def api(database: Database, service: Service, outbox: Outbox) -> Application:
    """The API in process, which accepts what tests say of their callers."""
    api = service.create_api()
    connect(api, database, outbox)
    api.state.authenticate = authenticate
    return api


def client_of(api: FastAPI, caller: str = "alice", scopes: Sequence[str] | None = None) -> AsyncClient:
    """Create a client that is authenticated as `caller`, with these scopes, or with every scope."""
    headers = {"Authorization": f"Bearer {caller}"} | ({} if scopes is None else {SCOPES: " ".join(scopes)})
    return AsyncClient(transport=ASGITransport(api), base_url="http://test", headers=headers)


@pytest.fixture
async def client(api: Application) -> AsyncGenerator[AsyncClient]:
    """A client of the API in process, authenticated as alice, with every scope."""
    async with client_of(api) as client:
        yield client


@pytest.fixture
async def stranger(api: Application) -> AsyncGenerator[AsyncClient]:
    """Another client of the same API, authenticated as bob, with every scope."""
    async with client_of(api, "bob") as client:
        yield client


@pytest.fixture
def plan_of(settings: Settings) -> PlanOf:
    """Give the plan of a statement with its arguments, after ANALYZE; fill the tables before, with `execute`."""

    async def explain(statement: str, *arguments: object) -> str:
        connection = await asyncpg.connect(settings.database_url)
        await connection.execute("ANALYZE")
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", *arguments)
        await connection.close()
        return "\n".join(row[0] for row in rows)

    return explain


# Of transactions, of notifications, and by which asyncpg learns about types on a new connection.
NO_STATEMENTS = ("BEGIN", "COMMIT", "ROLLBACK", "NOTIFY", "typeinfo_tree", "'jit'")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gather the statements that are sent to the database."""
    gathered: list[str] = []
    acquire, leave = Pool.acquire, Loan.__aexit__

    def gather(record: LoggedQuery) -> None:
        if not any(part in record.query for part in NO_STATEMENTS):
            gathered.append(record.query)

    async def acquire_observed(self: Pool) -> Connection:
        connection = await acquire(self)
        connection.add_query_logger(gather)
        return connection

    async def leave_observed(self: Loan, *raised: Any) -> None:  # noqa: ANN401  # as it is called
        await asyncio.sleep(0)  # asyncpg tells of a statement in the next turn of the loop
        await leave(self, *raised)

    monkeypatch.setattr(Pool, "acquire", acquire_observed)
    monkeypatch.setattr(Loan, "__aexit__", leave_observed)
    return gathered


@pytest.fixture
def announced(database: Database) -> Announced:
    """Read the kind and the data of each integration event that was announced, in order."""

    async def read() -> list[tuple[str, dict[str, Any]]]:
        rows = await database.fetch("SELECT kind, payload FROM chassis_outbox ORDER BY id")
        return [(row["kind"], json.loads(row["payload"])) for row in rows]

    return read


@pytest.fixture
def receive(database: Database, service: Service) -> Receive:
    """Receive an event of another service, with its type and its data, as from its stream; `drain` then handles it."""
    from chassis.events import _receipts as receipts  # noqa: PLC0415  # an extra

    async def receive_one(event_type: str, data: object, event_id: str | None = None) -> None:
        subscriptions = [each for each in subscriptions_of(service.modules) if each.event_type == event_type]
        assert subscriptions, f"no module subscribes to {event_type}"
        headers = {"ce-id": event_id or str(uuid4()), "ce-source": f"/{event_type.partition('.')[0]}"}
        for each in subscriptions:
            position = await receipts.position_of(database, each)
            event = receipts.Received.of(headers, to_json(data), position + 1, datetime.now(UTC))
            await receipts.receive(database, each, [event], position)

    return receive_one


@pytest.fixture
def drain(database: Database, service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Drain:
    """Run the worker until no job is queued, with retries that do not wait long."""
    monkeypatch.setattr(_runner, "BACKOFF_SECONDS", 0.01)

    async def run() -> None:
        await drain_queue(database, handlers_of(service.modules), settings)

    return run


# What is due later is not waited for, a retry is.
LEFT = "SELECT EXISTS (SELECT FROM chassis_jobs WHERE dead_at IS NULL AND run_at < now() + interval '1 minute')"


async def drain_queue(database: Database, handlers: Sequence[Handler], settings: Settings) -> None:
    """Run a worker until every job that is due is done or a dead letter."""
    stop = asyncio.Event()
    working = asyncio.create_task(Worker(database, handlers, settings, stop).run())
    try:
        async with asyncio.timeout(20):
            while await database.fetchval(LEFT):
                await asyncio.sleep(0.01)
    finally:
        stop.set()
        await working
