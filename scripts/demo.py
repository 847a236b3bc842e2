"""Makes the default project, runs it on an embedded PostgreSQL, and takes an order through it step by step."""

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
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen
from uuid import uuid4

from render import render

ORDER = {"reference": "DEMO-1", "currency": "EUR", "lines": [{"sku": "TEA", "quantity": 2, "unit_price": 1250}]}
PATIENCE = 60.0


class DemoError(Exception):
    """A step did not do what it shows."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/demo", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where the project goes; a temporary folder by default")
    parser.add_argument("--keep", action="store_true", help="leave the service running until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    try:
        with project_folder(options.folder) as project:
            demonstrate(project, keep=options.keep)
    except DemoError as error:
        sys.exit(f"bin/demo: {error}")
    except KeyboardInterrupt:
        print("\nEnded, and everything it started with it.")
        sys.exit(130)


def demonstrate(project: Path, *, keep: bool) -> None:
    started = time.monotonic()
    say("generate", f"copier copy wrote {generate(project)} files, offline and without --trust")
    run(project, "uv", "run", "--quiet", "just", "setup")
    say("set up", "uv installed the tools, PostgreSQL among them, and made uv.lock")
    with service(project) as (api, operations):
        say("start", f"the API answers {operations}/readyz: migrations are applied, the worker runs beside it")
        headers = {"Authorization": f"Bearer {token(project)}"}
        say("identify", "the local issuer, whose key was made here and now, gave alice a token")
        location = place(api, headers)
        say("place", f"POST /v1/orders gave 201 and Location {location}: committed before the answer left")
        order = confirmed(api + location, headers)
        say("confirm", f"the order is {order['status']} at version {order['version']}: the worker ran the event's job")
        text = notified(project, order["id"])
        say("notify", f"another module recorded {text!r}: once, through its inbox")
        code, kind = refused(api, headers)
        say("refuse", f"an order without lines gives {code} and {kind}")
        say("reject", f"without the token it gives {call(api + location, {})[0]}")
        say("done", f"{time.monotonic() - started:.0f} s")
        if keep:
            print(
                f"\nAPI      {api}/docs\nHealth   {operations}/readyz\nProject  {project}\nCtrl-C ends it.", flush=True
            )
            signal.pause()


def say(step: str, proof: str) -> None:
    print(f"{step:9} {proof}", flush=True)


@contextmanager
def project_folder(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="copier-backend-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary) / "acme-shop"
    elif folder.exists() and any(folder.iterdir()):
        raise DemoError(f"{folder} is not empty: name a new folder")
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
    """Leave out what would send the project to this repository's own environment or to another database."""
    return {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "VIRTUAL_ENV"}}


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


@contextmanager
def service(project: Path) -> Iterator[tuple[str, str]]:
    """Run `just dev` on free ports, and end it and all it started when the block ends."""
    names = ("API_PORT", "API_OPERATIONS_PORT", "WORKER_OPERATIONS_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    log = project / ".dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["uv", "run", "--quiet", "python", "-m", "dev", "dev"],
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
            with urlopen(url, timeout=5):  # noqa: S310  # an address of this machine
                return
        except (URLError, ConnectionError):
            time.sleep(0.1)
    raise DemoError(f"{url} does not answer:\n{log.read_text()[-3000:]}")


def token(project: Path) -> str:
    command = ("uv", "run", "--quiet", "just", "token", "--subject", "alice", "--scope", "orders:read orders:write")
    return run(project, *command).strip()


def call(url: str, headers: dict[str, str], body: Any = None) -> tuple[int, dict[str, str], Any]:  # noqa: ANN401  # any JSON
    """Send a request to this machine and give status, headers and the answer's JSON."""
    data = None if body is None else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())} | headers
    request = Request(url, data, fields)  # noqa: S310  # an address of this machine
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310  # an address of this machine
            return answer.status, {key.lower(): value for key, value in answer.headers.items()}, json.load(answer)
    except HTTPError as error:
        return error.code, {key.lower(): value for key, value in error.headers.items()}, json.load(error)


def place(api: str, headers: dict[str, str]) -> str:
    status, answered, _ = call(f"{api}/v1/orders", headers, ORDER)
    if status != HTTPStatus.CREATED:
        raise DemoError(f"placing the order gave {status}")
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
    query = f"SELECT text FROM notifications WHERE order_id = '{order_id}'"  # noqa: S608  # an id of ours
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        lines = run(project, "uv", "run", "--quiet", "just", "db", "-At", "-c", query).splitlines()
        if lines:
            return lines[0]
    raise DemoError("no notification was recorded")


def refused(api: str, headers: dict[str, str]) -> tuple[int, str]:
    status, answered, _ = call(f"{api}/v1/orders", headers, ORDER | {"lines": []})
    return status, answered["content-type"]


if __name__ == "__main__":
    main()
