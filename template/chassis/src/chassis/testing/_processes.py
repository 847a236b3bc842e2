"""Starts the API and the worker as processes on ports of their own, and ends them as an orchestrator does."""

import asyncio
import io
import os
import secrets
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from httpx import AsyncClient, TransportError

from chassis.dev import project
from chassis.dev.environment import development_variables
from chassis.settings import Settings


@dataclass
class Running:
    """One of the two processes with its operations port."""

    process: Process
    operations: str
    log: Path

    async def ready(self) -> None:
        async with AsyncClient() as client, asyncio.timeout(60):
            while True:
                assert self.process.returncode is None, self.log.read_text()
                try:
                    if (await client.get(f"{self.operations}/readyz")).status_code == 200:
                        return
                except TransportError:  # not there yet, or too busy with its start to answer
                    pass
                await asyncio.sleep(0.05)

    async def terminate(self) -> tuple[int, str]:
        """Send SIGTERM and give the exit status and what the process has logged."""
        self.process.terminate()
        async with asyncio.timeout(30):
            status = await self.process.wait()
        return status, self.log.read_text()


@dataclass
class Backend:
    """Both processes, where the API is, and what tells it that alice asks."""

    api: Running
    worker: Running
    url: str
    headers: dict[str, str]


type Start = Callable[..., Awaitable[Backend]]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


def environment_of(database: str, public: int, api: int, worker: int) -> dict[str, str]:
    """Set what development sets, with a database and ports of the test's own."""
    variables = {
        "API_OPERATIONS_PORT": str(api),
        "API_PORT": str(public),
        "DATABASE_URL": database,
        "LOG_FORMAT": "json",
        "NATS_URL": "nats://127.0.0.1:1",  # no server listens there: events wait
        "RATE_LIMIT_PER_ADDRESS": "",
        "RATE_LIMIT_PER_PRINCIPAL": "",
        "SIGNING_KEYS": secrets.token_urlsafe(32),
        "WORKER_OPERATIONS_PORT": str(worker),
    }
    return {**os.environ, **development_variables(), **variables}


def credential(environment: dict[str, str], scope: str) -> dict[str, str]:
    """Get what development has as a credential, by the command that prints it, run in this process."""
    service = project.service()
    if service.auth is None:
        return {}
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        for name, value in environment.items():
            patch.setenv(name, value)
        service.main([*service.auth.issue, "--subject", "alice", "--scope", scope])
    return {"Authorization": f"Bearer {printed.getvalue().strip()}"}


@pytest.fixture
async def start(settings: Settings, tmp_path: Path) -> AsyncGenerator[Start]:
    """Start the API and the worker on the test's database, and let alice do what the scope says."""
    processes: list[Process] = []

    async def start_backend(scope: str, **variables: str) -> Backend:
        public, api, worker = free_ports(3)
        environment = environment_of(settings.database_url, public, api, worker) | variables
        running: list[Running] = []
        for command, port in (("api", api), ("worker", worker)):
            arguments = [sys.executable, "-m", project.service().import_name, command]
            log = tmp_path / f"{command}-{len(processes)}.log"
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(*arguments, env=environment, stdout=output)
            processes.append(process)
            running.append(Running(process, f"http://127.0.0.1:{port}", log))
        for each in running:
            await each.ready()
        headers = await asyncio.to_thread(credential, environment, scope)
        return Backend(running[0], running[1], f"http://127.0.0.1:{public}", headers)

    yield start_backend
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()
