"""`just dev`: a save restarts both processes, no connection is refused meanwhile, and Ctrl-C is a clean end."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from httpx import AsyncClient, ReadError, RemoteProtocolError

from chassis.settings import Settings
from chassis.testing import environment_of, free_ports

SERVICE = """
from chassis.runtime import Service

service = Service("shop", title="Shop", description="")
if __name__ == "__main__":
    service.main()
"""
API = """
from chassis.http import Public, Router

router = Router("/v1/greetings", tags=["greetings"])


@router.get("")
async def greet(_caller: Public) -> str:
    return "hello"
"""
PORTS = ("API_PORT", "API_OPERATIONS_PORT", "WORKER_OPERATIONS_PORT")
TAKEN = "dev: port {} is taken by {} (process {}): end it, or set {} in .env\n"


@dataclass
class Project:
    folder: Path
    environment: dict[str, str]
    ports: list[int]
    started: list[Process] = field(default_factory=list[Process])

    async def dev(self) -> Process:
        command = (sys.executable, "-m", "chassis.dev", "dev")
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=self.environment, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        self.started.append(process)
        return process

    async def get(self, path: str) -> int:
        """Give the status of a request on a new connection, 0 if the API ended before it had read the request."""
        async with AsyncClient(base_url=f"http://127.0.0.1:{self.ports[0]}", timeout=60) as client:
            try:
                return (await client.get(path)).status_code
            except (ReadError, RemoteProtocolError):
                return 0

    def add_module(self) -> None:
        module = self.folder / "src" / "shop" / "modules" / "greetings"
        module.mkdir()
        (module / "api.py").write_text(API)
        (module / "__init__.py").touch()


@pytest.fixture
async def project(empty: Settings, tmp_path: Path) -> AsyncGenerator[Project]:
    """A service without a module, on ports of its own."""
    package = tmp_path / "src" / "shop"
    (package / "modules").mkdir(parents=True)
    for file in ("__init__.py", "modules/__init__.py"):
        (package / file).touch()
    (package / "service.py").write_text(SERVICE)
    (tmp_path / "pyproject.toml").write_text('[tool.chassis]\nservice = "shop.service"\n')
    ports = free_ports(3)
    environment = environment_of(str(empty.database_url), *ports) | {"PYTHONPATH": "src"}
    project = Project(tmp_path, environment, ports)
    yield project
    for process in project.started:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


@pytest.fixture
async def dev(project: Project) -> Process:
    """The recipe, once its API answers."""
    process = await project.dev()
    assert process.stdout
    async with asyncio.timeout(60):
        while b"Ctrl-C ends" not in await process.stdout.readline():
            pass
        assert await project.get("/v1/greetings") == 404
    return process


async def test_no_connection_is_refused_while_a_save_restarts_the_api(project: Project, dev: Process) -> None:
    # Its watcher reads the new folder's name when the files are there already, and misses those.
    dev.send_signal(signal.SIGSTOP)
    project.add_module()
    dev.send_signal(signal.SIGCONT)
    async with asyncio.timeout(60):
        while await project.get("/v1/greetings") != 200:
            pass
    assert dev.returncode is None


async def test_ctrl_c_ends_without_an_error(dev: Process) -> None:
    dev.send_signal(signal.SIGINT)
    _, said = await dev.communicate()
    assert (dev.returncode, said) == (0, b"")


@pytest.mark.parametrize("variable", PORTS)
async def test_a_port_that_is_taken_ends_it_with_the_process_that_has_the_port(project: Project, variable: str) -> None:
    port = project.ports[PORTS.index(variable)]
    name = psutil.Process().name()
    with socket.create_server(("127.0.0.1", port)):
        process = await project.dev()
        async with asyncio.timeout(60):
            _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode() == TAKEN.format(port, name, os.getpid(), variable)
