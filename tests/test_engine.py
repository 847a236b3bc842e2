"""The engine that carries jobs is changed while jobs are in flight, there and back, and none is lost."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from demo import PATIENCE, call, free_ports
from projects import change_answers, held_database, run, start
from releases import commit
from test_rolling_release import serving

pytestmark = pytest.mark.slow

SEEDS = 25


def test_jobs_in_flight_outlive_a_change_of_the_engine(released: Path, tmp_path: Path) -> None:
    project = start(released, tmp_path / "acme-shop", auth="none")
    with held_database(project) as url:
        run(project, "uv", "run", "acme-shop", "migrate", DATABASE_URL=url)
        run(project, "uv", "run", "just", "seed", DATABASE_URL=url)
        commit(project, "Lock")
        change_answers(project, queue_engine="nats")
        run(project, "uv", "lock")
        commit(project, "Let NATS carry the jobs")
        run(project, "uv", "sync")
        with nats(project, tmp_path) as server, serving(project, url, NATS_URL=server) as api:
            assert statuses(api, SEEDS) == ["confirmed"] * SEEDS
        run(project, "uv", "run", "just", "seed", DATABASE_URL=url)
        change_answers(project, queue_engine="postgres")
        with serving(project, url) as api:
            assert statuses(api, 2 * SEEDS) == ["confirmed"] * 2 * SEEDS


def statuses(api: str, count: int) -> list[str]:
    """Give the statuses of so many orders, as soon as all are confirmed or it has taken too long."""
    limit = time.monotonic() + PATIENCE
    while True:
        found = [order["status"] for order in call(f"{api}/v1/orders?limit=100", {})[2]["items"]]
        if found == ["confirmed"] * count or time.monotonic() > limit:
            return found
        time.sleep(0.1)


@contextmanager
def nats(project: Path, folder: Path) -> Iterator[str]:
    """Run a server of NATS, and see at the end that jobs went through it."""
    [port] = free_ports(1)
    program = project / ".venv" / "bin" / "nats-server"
    command: list[str | Path] = [program, "-js", "-sd", folder / "nats", "-a", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
    [stream] = (folder / "nats").rglob("streams/acme-shop")
    assert list(stream.rglob("*.blk"))
