"""The processes of a backend on one database, and what is done to them."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from chassis.testing import Running, credential, environment_of, free_ports

NONE: Mapping[str, str] = MappingProxyType({})
MODULES = ("tests.faults.effects", "tests.faults.ticks")
# What a test would wait for.
IMPATIENT = {
    "DATABASE_IDLE_TIMEOUT": "2",
    "FAULTS_MODULES": MODULES[0],
    "WORKER_CONCURRENCY": "8",
    "WORKER_LEASE": "2",
}


@dataclass
class Started(Running):
    """A process; `url` is where an API is."""

    url: str

    async def kill(self) -> None:
        """End it as a crash does."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Fleet:
    """Starts processes, and ends those that are left."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database = database
        self.started: list[Started] = []
        self._folder = folder

    async def start(self, command: str, *, variables: Mapping[str, str] = NONE, log: Path | None = None) -> Started:
        """Start an `api` or a `worker`, and return when it is ready."""
        started = await self.launch(command, variables=variables, log=log)
        await started.ready()
        return started

    async def launch(self, command: str, *, variables: Mapping[str, str] = NONE, log: Path | None = None) -> Started:
        """Start one without a wait."""
        public, api, worker = free_ports(3)
        environment = environment_of(self.database, public, api, worker) | IMPATIENT | dict(variables)
        log = log or self._folder / f"{command}-{len(self.started)}.log"
        with log.open("wb") as output:
            arguments = [sys.executable, "-m", "tests.faults.backend", command]
            process = await asyncio.create_subprocess_exec(*arguments, env=environment, stdout=output)
        operations = f"http://127.0.0.1:{api if command == 'api' else worker}"
        started = Started(process, operations, log, f"http://127.0.0.1:{environment['API_PORT']}")
        self.started.append(started)
        return started

    def credential(self) -> dict[str, str]:
        """Get a credential by which alice reads and writes notes."""
        return credential(environment_of(self.database, *free_ports(3)), "notes:read notes:write")

    async def end(self) -> None:
        for started in self.started:
            await started.kill()
