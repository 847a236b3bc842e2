"""Times three requests of a generated project beside the same on plain FastAPI and asyncpg: `just bench-api`.

In each round all servers are asked one after the other, on the same PostgreSQL, by CONNECTIONS connections that each
send their next request when they have the answer. Ratios are medians over the rounds, with their range. One server of
the project exports traces to a collector, with the default sampling, and the other does not.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_urlsafe
from statistics import median
from threading import Thread
from typing import NamedTuple
from urllib.request import Request, urlopen

from demo import free_ports, wait_for
from render import render

CONNECTIONS = 16
PLAIN = Path(__file__).with_name("plain_api.py")
ORDER = {"reference": "A-1", "currency": "EUR", "lines": [{"sku": "TEA", "quantity": 2, "unit_price": 1250}]}
SEEDED = 40
REQUESTS = ("read one", "list twenty", "create")


class Rates(NamedTuple):
    """Requests per second."""

    exporting: float
    silent: float
    plain: float


class Collector(BaseHTTPRequestHandler):
    """Takes traces and forgets them."""

    def do_POST(self) -> None:  # the name is http.server's
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Target:
    """A server that answers on a port, below a path, for somebody with these header fields."""

    def __init__(self, port: int, path: str, headers: dict[str, str]) -> None:
        self.port = port
        self.path = path
        self.headers = headers
        self.made = 0

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Write a request; each POST has an Idempotency-Key of its own."""
        self.made += 1
        fields = self.headers | {"Host": "localhost", "Idempotency-Key": f"{os.getpid()}-{self.port}-{self.made}"}
        if body:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def place(self) -> str:
        """Place an order and give its id."""
        headers = self.headers | {"Content-Type": "application/json", "Idempotency-Key": token_urlsafe(16)}
        url = f"http://127.0.0.1:{self.port}{self.path}"
        with urlopen(Request(url, json.dumps(ORDER).encode(), headers)) as answer:  # of this machine
            return str(json.load(answer)["id"])


async def rate_of(target: Target, name: str, order_id: str, count: int) -> float:
    """Send `count` requests of this name, and give how many were answered in a second."""
    body = json.dumps(ORDER).encode()
    requests = {
        "read one": lambda: target.ask("GET", f"{target.path}/{order_id}"),
        "list twenty": lambda: target.ask("GET", target.path),
        "create": lambda: target.ask("POST", target.path, body),
    }
    left = iter(range(count))

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        for _ in left:
            writer.write(requests[name]())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
                raise RuntimeError(head.decode())
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))
    return count / (time.perf_counter() - started)


@contextmanager
def serving(project: Path, command: list[str], port: int, ready: str, variables: dict[str, str]) -> Iterator[None]:
    log = project.with_name(f"log-{port}")
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=project, env=os.environ | variables, stdout=output, stderr=output)
    try:
        wait_for(ready, process, log)
        yield
    finally:
        process.terminate()
        process.wait(30)


HOLD_DATABASE = """
import sys
from chassis.dev.postgres import database
with database("bench") as url:
    print(url, flush=True)
    sys.stdin.read()
"""


# As the server does by itself within a minute; until then, a list reads all orders of its caller.
ANALYZE = """
import asyncio, os, asyncpg
async def main():
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.execute("ANALYZE")
    await connection.close()
asyncio.run(main())
"""


@contextmanager
def database_of(project: Path) -> Iterator[str]:
    command = [str(project / ".venv/bin/python"), "-c", HOLD_DATABASE]
    with subprocess.Popen(command, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if not process.stdin or not process.stdout:
            raise RuntimeError("the process has no pipes")
        yield process.stdout.readline().strip()
        process.stdin.close()


@contextmanager
def collecting() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def measure(project: Path, rounds: int, count: int) -> dict[str, list[Rates]]:
    """Give the rates of the project and of the reference, for each request and round."""
    python = str(project / ".venv" / "bin" / "python")
    program = str(project / ".venv" / "bin" / "acme-shop")
    rates: dict[str, list[Rates]] = {name: [] for name in REQUESTS}
    with database_of(project) as url, collecting() as collector:
        exporting, its_operations, silent, operations, plain = free_ports(5)
        variables = {
            "DATABASE_URL": url,
            "API_PORT": str(silent),
            "API_OPERATIONS_PORT": str(operations),
            "SIGNING_KEYS": token_urlsafe(32),
            "OIDC_ISSUER": "urn:development",
            "OIDC_AUDIENCE": "acme-shop",
            "OIDC_DEVELOPMENT_KEYS": ".dev/issuer.json",
            "RATE_LIMIT_PER_ADDRESS": "",
            "RATE_LIMIT_PER_PRINCIPAL": "",
        }
        environment = os.environ | variables
        subprocess.run([program, "migrate"], cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
        issue = [program, "token", "--subject", "alice", "--scope", "orders:read orders:write"]
        token = subprocess.run(issue, cwd=project, env=environment, check=True, capture_output=True, text=True).stdout
        credential = {"Authorization": f"Bearer {token.strip()}"}
        targets = [Target(port, "/v1/orders", credential) for port in (exporting, silent)]
        targets.append(Target(plain, "/orders", {}))
        of_plain = {**variables, "API_PORT": str(plain)}
        of_exporting = {"API_PORT": str(exporting), "API_OPERATIONS_PORT": str(its_operations)}
        of_exporting["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector
        ready = "http://127.0.0.1:{}/readyz"
        with (
            serving(project, [program, "api"], silent, ready.format(operations), variables),
            serving(project, [program, "api"], exporting, ready.format(its_operations), {**variables, **of_exporting}),
            serving(
                project,
                [python, str(PLAIN)],
                plain,
                f"http://127.0.0.1:{plain}/orders",
                of_plain,
            ),
        ):
            ids = {target: [target.place() for _ in range(SEEDED)].pop() for target in targets}
            for number in range(rounds + 1):
                subprocess.run([python, "-c", ANALYZE], env=environment, check=True)
                for name in REQUESTS:
                    found = Rates(*(asyncio.run(rate_of(target, name, ids[target], count)) for target in targets))
                    if number:  # the first round warms up
                        rates[name].append(found)
    return rates


def report(rates: dict[str, list[Rates]]) -> str:
    """Compare the project that exports traces with plain FastAPI, and with itself when it does not."""
    lines = [
        "| request | requests/s | plain FastAPI | ratio (range) | without traces | ratio (range) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, rounds in rates.items():
        own, silent, plain = (f"{median(column):,.0f}" for column in zip(*rounds, strict=True))
        of_plain = ratio([each.exporting / each.plain for each in rounds])
        of_silent = ratio([each.exporting / each.silent for each in rounds])
        lines.append(f"| {name} | {own} | {plain} | {of_plain} | {silent} | {of_silent} |")
    return "\n".join(lines)


def ratio(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000, help="of each kind, in each round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "acme-shop"
        render(project)
        subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
        subprocess.run(["uv", "sync", "--quiet"], cwd=project, check=True)
        print(report(measure(project, options.rounds, options.requests)), file=sys.stdout)


if __name__ == "__main__":
    main()
