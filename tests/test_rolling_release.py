"""While a release is rolled out, the one before serves on: its processes run on the schema of this one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe

import pytest
from demo import call, confirmed, free_ports, place, wait_for
from projects import held_database, run, start
from test_update import release

pytestmark = pytest.mark.slow


def test_the_release_before_runs_on_the_new_schema(repository: Path, tmp_path: Path) -> None:
    before = start(repository, tmp_path / "before" / "acme-shop", auth="none")
    release(repository)
    new = start(repository, tmp_path / "new" / "acme-shop", auth="none")
    with held_database(new) as url:
        run(new, "uv", "run", "acme-shop", "migrate", DATABASE_URL=url)
        with serving(before, url) as api:
            placed = confirmed(api + place(api, {"Idempotency-Key": "1"}), {})
            listed = call(f"{api}/v1/orders", {})[2]["items"]
            status, _, problem = call(f"{api}/v1/orders/{placed['id']}/cancel", {}, {})
    assert listed == [placed]
    assert (status, problem["type"]) == (409, "urn:problem-type:order-not-cancellable")


@contextmanager
def serving(project: Path, database: str, **more: str) -> Iterator[str]:
    """Run both processes of a project that has been migrated for, and give the address of its API."""
    names = ("API_PORT", "API_OPERATIONS_PORT", "WORKER_OPERATIONS_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    variables = os.environ | ports | {"DATABASE_URL": database, "SIGNING_KEYS": token_urlsafe(32)} | more
    variables.pop("VIRTUAL_ENV", None)
    log = project.with_name("log")
    run(project, "uv", "sync")
    program = project / ".venv" / "bin" / "acme-shop"
    with log.open("w") as output:
        running = [subprocess.Popen([program, name], env=variables, stdout=output) for name in ("api", "worker")]
    try:
        for name, process in zip(names[1:], running, strict=True):
            wait_for(f"http://127.0.0.1:{ports[name]}/readyz", process, log)
        yield f"http://127.0.0.1:{ports['API_PORT']}"
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
