"""Runs the API and the worker side by side and restarts them when the source changes."""

import asyncio
import os
import sys
from asyncio.subprocess import Process

import watchfiles

from chassis.dev.project import project_folder, service
from chassis.ops import stop_on_signals

watching: set[asyncio.Task[None]] = set()


async def run() -> int:
    """Run until SIGINT or SIGTERM. Answers 0."""
    stop = stop_on_signals()
    _print_addresses()
    processes = await _start(stop)
    sources = [folder for folder in (project_folder() / "src", project_folder() / "chassis" / "src") if folder.is_dir()]
    # Its event may also be one of trio, whose types are not here.
    changes = watchfiles.awatch(*sources, watch_filter=watchfiles.PythonFilter(), stop_event=stop)  # pyright: ignore[reportUnknownMemberType]
    try:
        async for _ in changes:
            print("The source has changed, restarting.")
            await _stop(processes)
            processes = await _start(stop)
    finally:
        await _stop(processes)
    return 0


async def _start(stop: asyncio.Event) -> dict[str, Process]:
    """Start both in a session of their own, so that Ctrl-C reaches them through us, once."""
    command = [sys.executable, "-m", service().import_name]
    processes = {
        name: await asyncio.create_subprocess_exec(*command, name, start_new_session=True) for name in ("api", "worker")
    }
    for name, process in processes.items():
        watching.add(task := asyncio.create_task(_tell_of_the_end(name, process, stop)))
        task.add_done_callback(watching.discard)
    return processes


async def _tell_of_the_end(name: str, process: Process, stop: asyncio.Event) -> None:
    status = await process.wait()
    if status and not stop.is_set():
        print(f"The {name} has ended with status {status}; it restarts when the source changes.", flush=True)


async def _stop(processes: dict[str, Process]) -> None:
    for process in processes.values():
        if process.returncode is None:
            process.terminate()
    for process in processes.values():
        await process.wait()


def _print_addresses() -> None:
    api, operations, worker = (
        f"http://127.0.0.1:{os.environ.get(name, port)}"
        for name, port in (("API_PORT", 8000), ("API_OPERATIONS_PORT", 8001), ("WORKER_OPERATIONS_PORT", 8002))
    )
    print(f"API       {api}/docs")
    print(f"Health    {operations}/readyz  {worker}/readyz")
    print(f"Metrics   {operations}/metrics  {worker}/metrics")
    print("Database  uv run just db")
    print("Ctrl-C ends all of it.", flush=True)
