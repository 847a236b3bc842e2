"""The fixtures: a database emptied before each test, the API in process, the worker until it is idle."""

import asyncio
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import asyncpg
import pytest
import structlog
from asyncpg.connection import LoggedQuery
from fastapi import FastAPI
from fastapi import Request as ApiRequest
from httpx import ASGITransport, AsyncClient

from chassis.data import Connection, Database, open_database
from chassis.dev import project
from chassis.http import Application, connect
from chassis.identity import Principal, bearer
from chassis.jobs import Handler, Job, Outbox, Publisher, _runner, _worker, work
from chassis.runtime import Service, handlers_of
from chassis.settings import Settings
from chassis.testing._databases import EMPTY, Server, execute, in_database
from chassis.testing._types import Announced, Drain, PlanOf

server_key = pytest.StashKey[Server]()


def pytest_configure() -> None:
    """Keep the tests' own log lines plain: tracebacks with all local variables take seconds to draw."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])


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
    """Accept the name that a test gives as a token, and grant it every scope."""
    return Principal(bearer(request), frozenset(scopes))


@pytest.fixture
def api(database: Database, service: Service, outbox: Outbox) -> Application:
    """The API in process, which accepts what tests say of their callers."""
    api = service.create_api()
    connect(api, database, outbox)
    api.state.authenticate = authenticate
    return api


def client_of(api: FastAPI, caller: str = "alice") -> AsyncClient:
    headers = {"Authorization": f"Bearer {caller}"}
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
        connection = await asyncpg.connect(str(settings.database_url))
        await connection.execute("ANALYZE")
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", *arguments)
        await connection.close()
        return "\n".join(row[0] for row in rows)

    return explain


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gather the statements that are sent to the database; BEGIN, COMMIT and ROLLBACK are none."""
    gathered: list[str] = []
    lend = Database.connection

    def gather(record: LoggedQuery) -> None:
        if not record.query.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            gathered.append(record.query)

    @asynccontextmanager
    async def lend_observed(self: Database) -> AsyncGenerator[Connection]:
        async with lend(self) as connection:
            connection.add_query_logger(gather)
            yield connection
            connection.remove_query_logger(gather)

    monkeypatch.setattr(Database, "connection", lend_observed)
    return gathered


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> Announced:
    """Gather the kind and the payload of each integration event that handlers announce, instead of publishing them."""
    from chassis.events import IntegrationEvent, _integration_events  # noqa: PLC0415  # an extra

    gathered: Announced = []

    async def gather(_announcer: object, job: Job, event: IntegrationEvent, key: str) -> None:
        job.key_for(f"{event.kind}:{key}")
        gathered.append((event.kind, event.model_dump(mode="json")))

    monkeypatch.setattr(_integration_events.Announcer, "announce", gather)
    return gathered


@pytest.fixture
def drain(database: Database, service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Drain:
    """Run the worker until no job is queued, with retries that do not wait long."""
    monkeypatch.setattr(_runner, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(_worker, "POLL_SECONDS", 0.05)

    async def run() -> None:
        publisher = service.events.publisher(service.name) if service.events else None
        await drain_queue(database, handlers_of(service.modules), settings, publisher)

    return run


async def drain_queue(
    database: Database, handlers: Sequence[Handler], settings: Settings, publisher: Publisher | None = None
) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(work(database, handlers, settings, stop, publisher=publisher))
    try:
        async with asyncio.timeout(20):
            while await database.pool.fetchval("SELECT EXISTS (SELECT FROM pgqueuer WHERE status <> 'failed')"):
                await asyncio.sleep(0.02)
    finally:
        stop.set()
        await working
