"""Creates the default project, runs it on an embedded PostgreSQL, and checks step by step what it guarantees."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener
from uuid import uuid4

from render import render

ORDER = {"reference": "DEMO-1", "currency": "EUR", "lines": [{"sku": "TEA", "quantity": 2, "unit_price": 1250}]}
PATIENCE = 60.0
urlopen = build_opener(ProxyHandler({})).open  # past a proxy of the shell, which does not reach this machine


class DemoError(Exception):
    """A step did not give the result that it demonstrates."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/demo", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a new folder for the project; default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="keep the service running until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by default in a background job of a shell
    try:
        with project_folder(options.folder) as project:
            demonstrate(project, keep=options.keep)
    except DemoError as error:
        sys.exit(f"bin/demo: {error}")
    except KeyboardInterrupt:
        print("\nStopped the service and its database.")
        sys.exit(130)


def demonstrate(project: Path, *, keep: bool) -> None:
    started = time.monotonic()
    say("create", f"Copier wrote the project: {generate(project)} files, offline, without running code of the template")
    run(project, "uv", "run", "--quiet", "just", "setup")
    say("install", "uv installed the dependencies, with PostgreSQL among them, and created uv.lock")
    with service(project) as (api, operations):
        say("start", f"migrations are applied, the API and the worker are ready ({operations}/readyz)")
        headers = {"Authorization": f"Bearer {token(project)}", "Idempotency-Key": str(uuid4())}
        say("sign in", "the local OpenID Connect issuer gave alice a token")
        location = place(api, headers)
        say("order", f"POST /v1/orders returned 201, Location {location}: committed before the response was sent")
        if place(api, headers) != location:
            raise DemoError("the repeated request placed another order")
        say("retry", "the same request with the same Idempotency-Key returned the same order, not a second one")
        order = confirmed(api + location, headers)
        say("job", f"the worker ran the event's job: the order is {order['status']}, version {order['version']}")
        say("once", f"another module handled the event once and recorded {notified(project, order['id'])!r}")
        code, kind = refused(api, headers | {"Idempotency-Key": str(uuid4())})
        say("validate", f"an order without lines returned {code}, {kind}")
        say("protect", f"a request without a token returned {call(api + location, {})[0]}")
        say("done", f"{time.monotonic() - started:.0f} s")
        if keep:
            print(
                f"\nAPI      {api}/docs\nHealth   {operations}/readyz\nProject  {project}\nCtrl-C stops it.", flush=True
            )
            signal.pause()


def say(step: str, result: str) -> None:
    print(f"{step:9} {result}", flush=True)


@contextmanager
def project_folder(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="copier-backend-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary) / "acme-shop"
    elif folder.exists() and any(folder.iterdir()):
        raise DemoError(f"{folder} is not empty: use a new folder")
    else:
        yield folder.resolve()


def generate(project: Path) -> int:
    render(project)
    return sum(path.is_file() for path in project.rglob("*"))


def run(project: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def environment() -> dict[str, str]:
    """Leave out variables that select the environment of this repository or another database."""
    return {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "VIRTUAL_ENV"}}


def free_ports(count: int) -> list[int]:
    """Return free TCP ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


@contextmanager
def service(project: Path) -> Iterator[tuple[str, str]]:
    """Run `just dev` on free ports, and stop it with its child processes at the end of the block."""
    names = ("API_PORT", "API_OPERATIONS_PORT", "WORKER_OPERATIONS_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    log = project / ".dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["uv", "run", "--quiet", "python", "-m", "chassis.dev", "dev"],
            cwd=project,
            env=environment() | ports,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        urls = [f"http://127.0.0.1:{ports[name]}" for name in names]
        for operations in urls[1:]:
            wait_for(f"{operations}/readyz", process, log)
        yield urls[0], urls[1]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
        log.unlink(missing_ok=True)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        if process.poll() is not None:
            break
        try:
            with urlopen(url, timeout=5):  # a URL of this machine
                return
        except OSError:  # refused, not ready, or no answer in time
            time.sleep(0.1)
    raise DemoError(f"{url} does not respond:\n{log.read_text()[-3000:]}")


def token(project: Path) -> str:
    command = ("uv", "run", "--quiet", "just", "token", "--subject", "alice", "--scope", "orders:read orders:write")
    return run(project, *command).strip()


def call(url: str, headers: dict[str, str], body: Any = None) -> tuple[int, dict[str, str], Any]:  # noqa: ANN401  # any JSON
    """Send a request to this machine; return the status, the headers and the JSON of the response."""
    data = None if body is None else json.dumps(body).encode()
    fields = {"Content-Type": "application/json"} | headers
    request = Request(url, data, fields)  # noqa: S310  # a URL of this machine
    try:
        with urlopen(request, timeout=10) as answer:  # a URL of this machine
            return answer.status, {key.lower(): value for key, value in answer.headers.items()}, json.load(answer)
    except HTTPError as error:
        return error.code, {key.lower(): value for key, value in error.headers.items()}, json.load(error)


def place(api: str, headers: dict[str, str]) -> str:
    status, answered, _ = call(f"{api}/v1/orders", headers, ORDER)
    if status != HTTPStatus.CREATED:
        raise DemoError(f"placing the order returned {status}")
    return answered["location"]


def confirmed(url: str, headers: dict[str, str]) -> dict[str, Any]:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        order: dict[str, Any] = call(url, headers)[2]
        if order["status"] == "confirmed":
            return order
        time.sleep(0.05)
    raise DemoError("the worker has not confirmed the order")


def notified(project: Path, order_id: str) -> str:
    query = f"SELECT text FROM notifications WHERE order_id = '{order_id}'"  # noqa: S608  # a UUID of the service
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        lines = run(project, "uv", "run", "--quiet", "just", "db", "-At", "-c", query).splitlines()
        if len(lines) > 1:
            raise DemoError("the notification was recorded twice")
        if lines:
            return lines[0]
    raise DemoError("no notification was recorded")


def refused(api: str, headers: dict[str, str]) -> tuple[int, str]:
    status, answered, _ = call(f"{api}/v1/orders", headers, ORDER | {"lines": []})
    return status, answered["content-type"]


if __name__ == "__main__":
    main()
