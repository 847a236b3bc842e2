"""Prometheus over the processes of `just dev`, with Alertmanager and Grafana if they are installed; without Docker."""

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from shutil import which

import yaml

from chassis.dev import environment
from chassis.dev.ports import free_port
from chassis.dev.project import project_folder
from chassis.ops import stop_on_signals
from chassis.settings import Settings, StartError

# The usual port of each program, and the names that it is installed by.
PROGRAMS = {
    "prometheus": (9090, ("prometheus",)),
    "alertmanager": (9093, ("alertmanager", "prometheus-alertmanager")),
    "grafana": (3000, ("grafana",)),
}
INSTALL = (
    "Debian and Ubuntu: apt install prometheus prometheus-alertmanager. macOS: brew install prometheus alertmanager "
    "grafana. Others: prometheus.io/download and grafana.com/grafana/download"
)

type Ports = Mapping[str, int]


class ObserveError(StartError):
    """A program is not installed, or has ended; the message says what to do."""


def main() -> None:
    """Run until SIGINT or SIGTERM what is installed. Raises ObserveError."""
    found = {name: program for name, (_, names) in PROGRAMS.items() if (program := _find(*names))}
    if "prometheus" not in found:
        raise ObserveError(f"Prometheus is not installed. {INSTALL}")
    environment.set_variables()
    ports = {name: free_port(PROGRAMS[name][0]) for name in found}
    folder = project_folder() / ".dev" / "observe"
    folder.mkdir(parents=True, exist_ok=True)
    commands = {name: [program, *ARGUMENTS[name](folder, ports)] for name, program in found.items()}
    for name in PROGRAMS:
        print(f"{name.title():13} {f'http://127.0.0.1:{ports[name]}' if name in found else 'not installed'}")
    print(f"Ctrl-C ends all of it.{'' if found.keys() == PROGRAMS.keys() else f' {INSTALL}'}", flush=True)
    asyncio.run(_run(commands, folder))


def _find(*names: str) -> str | None:
    return next(filter(None, map(which, names)), None)


def _prometheus(folder: Path, ports: Ports) -> list[str]:
    """Rewrite the project's configuration with local paths and ports."""
    source = project_folder() / "ops" / "prometheus"
    config = yaml.safe_load((source / "prometheus.yaml").read_text(encoding="utf-8"))
    config["rule_files"] = [str(source / file) for file in config["rule_files"]]
    targets = {"api": _operations("api"), "worker": _operations("worker")}
    for each in (static for scrape in config["scrape_configs"] for static in scrape.get("static_configs", ())):
        if process := targets.get(each.get("labels", {}).get("process")):
            each["targets"] = [process]
    managers = [f"127.0.0.1:{ports['alertmanager']}"] if "alertmanager" in ports else []
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": managers}]}]}
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return [
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
    ]


def _operations(process: str) -> str:
    """Give the address of a process's operations port, without its settings, which require a database."""
    name = f"{process}_operations_port"
    return f"127.0.0.1:{os.environ.get(name.upper()) or Settings.model_fields[name].default}"


def _alertmanager(folder: Path, ports: Ports) -> list[str]:
    return [
        f"--config.file={project_folder() / 'ops' / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
        "--cluster.listen-address=",
    ]


def _grafana(folder: Path, ports: Ports) -> list[str]:
    """Provision the dashboards and their data source; anonymous users are admins, so it listens on 127.0.0.1 only."""
    source = {"name": "Prometheus", "type": "prometheus", "url": f"http://127.0.0.1:{ports['prometheus']}"}
    dashboards = {"name": "ops", "type": "file", "options": {"path": str(project_folder() / "ops" / "grafana")}}
    _provision(folder, "datasources", {"datasources": [{**source, "access": "proxy", "isDefault": True}]})
    _provision(folder, "dashboards", {"providers": [dashboards]})
    options = {
        "paths.data": folder / "grafana",
        "paths.provisioning": folder / "provisioning",
        "server.http_addr": "127.0.0.1",
        "server.http_port": ports["grafana"],
        "auth.anonymous.enabled": "true",
        "auth.anonymous.org_role": "Admin",
        "analytics.reporting_enabled": "false",
    }
    return ["server", "--homepath", str(_home()), *(f"cfg:{name}={value}" for name, value in options.items())]


def _provision(folder: Path, kind: str, content: Mapping[str, object]) -> None:
    file = folder / "provisioning" / kind / "ops.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"apiVersion": 1, **content}), encoding="utf-8")


def _home() -> Path:
    """Find what Grafana is installed with: beside its program, or where packages put it."""
    installed = Path(_find("grafana") or "").resolve().parent.parent
    places = (installed, installed / "share" / "grafana", Path("/usr/share/grafana"))
    return next((place for place in places if (place / "conf" / "defaults.ini").exists()), installed)


ARGUMENTS = {"prometheus": _prometheus, "alertmanager": _alertmanager, "grafana": _grafana}


async def _run(commands: Mapping[str, list[str]], folder: Path) -> None:
    stop = stop_on_signals()
    processes: dict[str, Process] = {}
    try:
        for name, command in commands.items():
            processes[name] = await _start(command, folder / f"{name}.log")
        waits = [asyncio.create_task(process.wait()) for process in processes.values()]
        await asyncio.wait([*waits, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        for name, process in processes.items():
            if process.returncode is not None and not stop.is_set():
                raise ObserveError(f"{name} has ended, see {folder / name}.log")
    finally:
        await asyncio.gather(*map(_end, processes.values()))


async def _start(command: list[str], log: Path) -> Process:
    """Start in a session of its own, so that Ctrl-C reaches it through us."""
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, start_new_session=True)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        await process.wait()
