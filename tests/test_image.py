"""The image of a generated project, built by a real engine: made from the lock file, run without privileges."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_urlsafe
from urllib.error import HTTPError

import pytest
from conftest import Render
from demo import free_ports, urlopen
from projects import held_database, run

pytestmark = pytest.mark.slow
# The client and, where the public registry is out of reach, the base images to stand in for the project's own.
DOCKER = os.environ.get("DOCKER") or shutil.which("docker") or "docker"
BASES = [f"--build-arg={name}={value}" for name in ("PYTHON_IMAGE", "UV_IMAGE") if (value := os.environ.get(name))]


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skip on a laptop without a container engine, visibly; fail in a pipeline, where it must not go unnoticed."""
    try:
        subprocess.run([DOCKER, "info"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        if os.environ.get("CI"):
            pytest.fail("no container engine answers `docker info`")
        pytest.skip("no container engine answers `docker info`")


def docker(*arguments: str) -> str:
    done = subprocess.run([DOCKER, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture
def project(render: Render) -> Path:
    project = render()
    run(project, "uv", "run", "just", "setup")
    return project


@pytest.fixture
def database(project: Path) -> Iterator[str]:
    with held_database(project) as url:
        yield url


def test_the_image_serves_as_an_unprivileged_user_with_a_read_only_root(project: Path, database: str) -> None:
    tag, ports = f"acme-shop-test:{os.getpid()}", free_ports(2)
    settings = {
        "DATABASE_URL": database,
        "OIDC_ISSUER": "https://issuer.example.org",
        "OIDC_AUDIENCE": "acme-shop",
        "SIGNING_KEYS": token_urlsafe(32),
        "API_PORT": str(ports[0]),
        "API_OPERATIONS_PORT": str(ports[1]),
    }
    options = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"]
    options += [f"--env={name}={value}" for name, value in settings.items()]
    docker("build", "--quiet", *BASES, "--build-arg=REVISION=abc1234", f"--tag={tag}", str(project))
    try:
        docker("run", "--rm", *options, tag, "migrate")
        container = docker("run", "--detach", *options, tag)
        try:
            assert docker("inspect", "--format={{.Config.User}}", container) == "10001:10001"
            wait_until_healthy(container)
            with urlopen(f"http://127.0.0.1:{ports[1]}/metrics", timeout=10) as answer:
                assert 'revision="abc1234"' in answer.read().decode()
            with pytest.raises(HTTPError, match="401") as raised:
                urlopen(f"http://127.0.0.1:{ports[0]}/v1/orders", timeout=10)  # of this machine
            raised.value.close()
            docker("stop", "--time=20", container)
            assert docker("inspect", "--format={{.State.ExitCode}}", container) == "0"
        finally:
            docker("rm", "--force", container)
    finally:
        docker("rmi", "--force", tag)


def wait_until_healthy(container: str) -> None:
    for _ in range(300):
        state = json.loads(docker("inspect", container))[0]["State"]
        if state["Health"]["Status"] == "healthy":
            return
        assert state["Running"], docker("logs", container)
        time.sleep(0.1)
    raise AssertionError(docker("logs", container))
