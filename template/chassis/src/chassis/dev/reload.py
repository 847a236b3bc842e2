"""Runs the API and the worker side by side and restarts them when the source changes."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from socket import socket

import watchfiles

from chassis.dev.project import project_folder
from chassis.dev.traces import collecting
from chassis.http._server import INHERITED
from chassis.ops import stop_on_signals
from chassis.settings import Settings

# A restart does not wait for a long request or job.
BRIEF = {"SHUTDOWN_TIMEOUT": "1"}


async def run(settings: Settings, ports: Mapping[str, socket]) -> int:
    """Run on these sockets until SIGINT or SIGTERM. Answers 0."""
    async with collecting() as traces:
        return await _run(settings, ports, traces)


async def _run(settings: Settings, ports: Mapping[str, socket], traces: str) -> int:
    stop = stop_on_signals()
    _print_addresses(settings, traces)
    chassis = project_folder() / "chassis" / "src"
    sources = [folder for folder in (project_folder() / "src", chassis) if folder.is_dir()]
    # Its event may also be one of trio, whose types are not here.
    changes = watchfiles.awatch(*sources, watch_filter=_SourceFilter(), stop_event=stop)  # pyright: ignore[reportUnknownMemberType]
    processes = _Processes(ports)
    try:
        await processes.start()
        async for changed in changes:
            print("The source has changed, restarting.", flush=True)
            if any(Path(name).is_relative_to(chassis) for _, name in changed):
                await processes.drop_standby()
            await processes.start()
    finally:
        await processes.end()
    return 0


class _SourceFilter(watchfiles.PythonFilter):
    """Python files, and new folders: inotify reports no file that a folder got before the watch on it began."""

    def __call__(self, change: watchfiles.Change, path: str) -> bool:
        if change is watchfiles.Change.added and Path(path).is_dir():
            return watchfiles.DefaultFilter.__call__(self, change, path)
        return super().__call__(change, path)


class _Processes:
    """The API, the worker, and the standby: it has imported the libraries, and becomes the API at the next change."""

    def __init__(self, ports: Mapping[str, socket]) -> None:
        self._descriptors = {INHERITED + variable: port.fileno() for variable, port in ports.items()}
        self._running: dict[str, Process] = {}
        self._reports: dict[str, asyncio.Task[None]] = {}
        self._standby: Process | None = None

    async def start(self) -> None:
        """Start all, in place of those that run; the API first."""
        await self._run("api", self._standby)
        await self._run("worker", None)
        self._standby = await self._spawn()

    async def drop_standby(self) -> None:
        """End it because it has imported what has changed since."""
        await _end(self._standby)
        self._standby = None

    async def end(self) -> None:
        for report in self._reports.values():
            report.cancel()
        await asyncio.gather(*map(_end, (*self._running.values(), self._standby)))

    async def _run(self, command: str, process: Process | None) -> None:
        if report := self._reports.get(command):
            report.cancel()
        await _end(self._running.get(command))
        self._running[command] = process = process or await self._spawn()
        self._reports[command] = asyncio.create_task(_report(command, process))
        if process.stdin and not process.stdin.is_closing():
            process.stdin.write(f"{command}\n".encode())

    async def _spawn(self) -> Process:
        """Start a process in a session of its own, so that Ctrl-C reaches it through us, once."""
        variables = {name: str(descriptor) for name, descriptor in self._descriptors.items()}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chassis.dev.standby"),
            stdin=PIPE,
            start_new_session=True,
            env={**BRIEF, **os.environ, **variables},
            pass_fds=[*self._descriptors.values()],
        )


async def _report(command: str, process: Process) -> None:
    """Report a process that ended by itself with an error."""
    if status := await process.wait():
        print(f"The {command} has ended with status {status}; it restarts when the source changes.", flush=True)


async def _end(process: Process | None) -> None:
    if process and process.returncode is None:
        process.terminate()
        await process.wait()


def _print_addresses(settings: Settings, traces: str) -> None:
    api, operations, worker = (
        f"http://127.0.0.1:{port}"
        for port in (settings.api_port, settings.api_operations_port, settings.worker_operations_port)
    )
    print(f"API       {api}/docs")
    print(f"Health    {operations}/readyz  {worker}/readyz")
    print(f"Metrics   {operations}/metrics  {worker}/metrics")
    if traces:
        print(f"Traces    {traces}")
    print("Database  uv run just db")
    print("Ctrl-C ends all of it.", flush=True)
