"""What machines bring along: proxies, IPv6, odd names of folders, package indexes of their own, an old Python."""

import json
import re
import shutil
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from threading import Thread

import pytest
from conftest import ROOT, Render
from demo import call, service
from months import replace
from projects import attempt, run

# Nobody listens there.
PROXY = dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:1")
WITHOUT_PYTHON = {
    "UV_HTTP_RETRIES": "0",
    "UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:1",
    "UV_PYTHON_PREFERENCE": "only-managed",
}
MISSING_PYTHON = "Python 3.13 is missing and cannot be downloaded: install it, or set UV_PYTHON_INSTALL_MIRROR\n"


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler], host: str) -> Iterator[int]:
    """Serve on a free port of one address, as the operations port does, and lend the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ThreadingHTTPServer((host, 0), handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = socket.create_server((host, 0), family=family)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join()


class Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # named by http.server
        self.send_response(200 if self.path == "/livez" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Dying(Alive):
    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()


type HealthCheck = Callable[..., CompletedProcess[str]]


@pytest.fixture
def health_check(default_project: Path, tmp_path: Path) -> HealthCheck:
    """Run the check of the image in a container whose first process has this command line."""
    text = (default_project / "Dockerfile").read_text(encoding="utf-8")
    [command] = re.findall(r"^HEALTHCHECK .*\\\n *CMD (.+)$", text, re.MULTILINE)
    first = tmp_path / "cmdline"
    words = [word.replace("/proc/1/cmdline", str(first)) for word in json.loads(command)[1:]]
    assert str(first) in words[1]

    def check(started: str, **variables: str) -> CompletedProcess[str]:
        first.write_bytes("".join(f"{part}\0" for part in started.split()).encode())
        return attempt(tmp_path, sys.executable, *words, **variables)

    return check


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])  # noqa: S104  # of a test
@pytest.mark.parametrize(("handler", "status"), [(Alive, 0), (Dying, 1)])
def test_the_health_check_asks_the_host_of_the_process_and_no_proxy(
    health_check: HealthCheck, host: str, handler: type[BaseHTTPRequestHandler], status: int
) -> None:
    with serving(handler, host) as port:
        variables = PROXY | {"OPERATIONS_HOST": host, "API_OPERATIONS_PORT": str(port)}
        done = health_check("/app/bin/python /app/bin/acme-shop api", **variables)
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.parametrize(
    ("started", "status"), [("acme-shop worker", 0), ("docker-init -- acme-shop worker", 0), ("acme-worker api", 1)]
)
def test_the_health_check_of_a_worker_asks_its_own_port(health_check: HealthCheck, started: str, status: int) -> None:
    with serving(Alive, "127.0.0.1") as worker, serving(Dying, "127.0.0.1") as api:
        ports = {"API_OPERATIONS_PORT": str(api), "WORKER_OPERATIONS_PORT": str(worker)}
        done = health_check(started, OPERATIONS_HOST="127.0.0.1", **ports)
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.slow
def test_a_project_lives_in_a_folder_with_an_odd_name_and_behind_a_proxy(render: Render, tmp_path: Path) -> None:
    project = tmp_path / "100%(done) shop"
    shutil.move(render(), project)
    run(project, "uv", "run", "just", "setup", **PROXY)
    run(project, "uv", "run", "just", "migrate", **PROXY)
    run(project, "uv", "run", "just", "migration", "orders", "add a note", **PROXY)
    run(project, "uv", "run", "just", "test", "tests/test_end_to_end.py", **PROXY)
    run(project, "uv", "run", "lint-imports", **PROXY)
    run(project, "uv", "run", "python", "-m", "chassis.dev", "check", **PROXY)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in PROXY.items():
            patch.setenv(name, value)
        with service(project) as (api, _):
            assert call(f"{api}/v1/orders", {})[0] == 401


def index(folder: Path) -> partial[SimpleHTTPRequestHandler]:
    """Make a package index in the form of HTML, which knows no upload times, with one package."""
    wheel = folder / "python-index" / "tiny" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    files = {
        "tiny.py": "",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny-1.0.dist-info/RECORD": "",
    }
    with closing(zipfile.ZipFile(wheel, "w")) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    (wheel.parent / "index.html").write_text(
        f'<!DOCTYPE html><html><body><a href="{wheel.name}">{wheel.name}</a></body></html>'
    )

    return partial(SimpleHTTPRequestHandler, directory=folder)


CHASSIS = """
[project]
name = "copier-backend-chassis"
version = "0.6.0"
requires-python = ">=3.12"
dependencies = ["tiny"]

[project.optional-dependencies]
dev = []
oidc = []

[build-system]
requires = ["uv_build>=0.9,<1"]
build-backend = "uv_build"

[tool.uv.build-backend]
module-name = "chassis"
"""


@pytest.mark.slow
def test_an_index_without_upload_times_is_used_as_the_documentation_says(render: Render, tmp_path: Path) -> None:
    """The chassis needs one package of it instead of a hundred; the project's own files are as they are."""
    project = render()
    (project / "chassis" / "pyproject.toml").write_text(CHASSIS)
    document = (project / "docs" / "deployment.md").read_text(encoding="utf-8").partition("### Package index")[2]
    url = "https://example.org/python-index"
    [exported] = re.findall(r"^export (.+)$", document, re.MULTILINE)
    [edited] = re.findall(r"^```toml\n(.+?)```$", document, re.MULTILINE | re.DOTALL)
    with serving(index(tmp_path / "index"), "127.0.0.1") as port:
        here = f"http://127.0.0.1:{port}/python-index"
        variables = dict(pair.split("=", 1) for pair in exported.replace(url, here).split())
        refused = attempt(project, "uv", "sync", UV_DEFAULT_INDEX=here)
        assert refused.returncode != 0
        assert "is missing an upload date" in refused.stderr

        run(project, "uv", "sync", **variables)
        run(project, "uv", "sync", "--locked", **variables)

        settings, _, listed = edited.replace(url, here).partition("\n\n")
        replace(project / "pyproject.toml", 'exclude-newer = "1 week"', settings.removeprefix("[tool.uv]\n"))
        with (project / "pyproject.toml").open("a") as file:
            file.write(f"\n{listed}")
        run(project, "uv", "lock")
        run(project, "uv", "sync", "--locked", "--no-dev", "--no-editable")


def test_the_demo_says_which_python_to_install(tmp_path: Path) -> None:
    done = attempt(ROOT, str(ROOT / "bin" / "demo"), **WITHOUT_PYTHON, UV_PYTHON_INSTALL_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.endswith(f"bin/demo: {MISSING_PYTHON}")


def test_the_setup_of_a_project_says_which_python_to_install(default_project: Path, tmp_path: Path) -> None:
    just = str(Path(sys.executable).with_name("just"))
    done = attempt(default_project, just, "setup", **WITHOUT_PYTHON, UV_PYTHON_INSTALL_DIR=str(tmp_path))
    assert done.returncode == 1
    assert MISSING_PYTHON in done.stderr
