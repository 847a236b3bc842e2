"""`ops/` of a project: alerts that fire, queries that find something, configurations that their programs accept.

Prometheus and Alertmanager are those of Debian. A pipeline sets PROMTOOL, and then they must be there.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from conftest import ROOT, Render
from demo import confirmed, environment, free_ports, place, token, urlopen, wait_for
from months import append, replace
from projects import attempt, run
from test_demo import processes_in
from test_machines import serving

CHASSIS = ROOT / "template" / "chassis"
PATIENCE = 60.0


def installed(name: str) -> str:
    """Find a program; skip the test where nothing promises that it is there."""
    found = shutil.which(name)
    if found is None and "PROMTOOL" not in os.environ:
        pytest.skip(f"{name} is not installed")
    assert found, f"{name} is not installed"
    return found


def alerts_in(project: Path) -> Iterator[tuple[Path, str]]:
    for file in (project / "ops" / "prometheus").glob("*.yaml"):
        for group in yaml.safe_load(file.read_text(encoding="utf-8")).get("groups", ()):
            yield from ((file, rule["alert"]) for rule in group["rules"] if "alert" in rule)


def checked(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the part of `just check` that is about `ops/`, in the environment of the chassis."""
    command = ["uv", "run", "--quiet", "--project", str(CHASSIS), "python", "-m", "chassis.dev", "slos"]
    return attempt(project, *command, PYTHONPATH=str(project / "src"))


def cases_pass(project: Path) -> bool:
    command = [installed("promtool"), "test", "rules", "ops/prometheus/tests.yaml"]
    return subprocess.run(command, cwd=project, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("events", ["none", "nats"])
def test_a_new_project_has_rules_runbooks_cases_and_dashboards_that_fit_together(render: Render, events: str) -> None:
    installed("promtool")
    done = checked(render(events=events))
    assert done.stdout.splitlines() == [
        "ops/prometheus/slos.yaml matches ops/slos.toml.",
        "Every alert has a runbook and a case, and every query names metrics that exist.",
        "The cases in ops/prometheus/tests.yaml pass.",
    ], done.stdout + done.stderr


def test_a_runbook_is_a_screenful_and_says_what_to_look_at_and_what_to_do(default_project: Path) -> None:
    text = (default_project / "docs" / "runbooks.md").read_text(encoding="utf-8")
    sections = text.split("\n## ")[1:]
    assert sections
    for section in sections:
        assert len(section.splitlines()) <= 25, section
        assert re.findall(r"^\*\*(.+?)\*\*", section, re.MULTILINE) == ["Meaning.", "Look at", "Do."], section


def test_runbooks_name_log_events_that_exist(default_project: Path) -> None:
    reference = (CHASSIS / "REFERENCE.md").read_text(encoding="utf-8")
    text = (default_project / "docs" / "runbooks.md").read_text(encoding="utf-8")
    named = [event for line in re.findall(r"`event` = (.+)", text) for event in re.findall(r"`([^`]{9,})`", line)]
    assert "job dead-lettered" in named
    assert [event for event in named if f"\n| `{event}` | " not in reference] == []


FAULTS = """
import sys
from chassis.dev.alerts import faults, metrics
known = metrics()
print(*(fault for query in sys.stdin.read().splitlines() for fault in faults(query, known)), sep="\\n", end="")
"""


def test_queries_in_runbooks_parse_and_name_metrics_that_exist(default_project: Path) -> None:
    text = (default_project / "docs" / "runbooks.md").read_text(encoding="utf-8")
    queries = re.findall(r"`((?:sum|max|histogram_quantile|rate|up|database_\w+)\b[^`]*)`", text)
    assert 'up{process="worker"}' in queries
    command = ["uv", "run", "--quiet", "--project", str(CHASSIS), "python", "-c", FAULTS]
    variables = {**environment(), "PYTHONPATH": str(default_project / "src")}
    done = subprocess.run(
        command,
        cwd=default_project,
        env=variables,
        check=True,
        capture_output=True,
        text=True,
        input="\n".join(queries),
    )
    assert done.stdout == ""


def test_the_panels_of_a_dashboard_have_places_of_their_own(default_project: Path) -> None:
    files = [*(default_project / "ops" / "grafana").glob("*.json")]
    assert {file.stem for file in files} == {"database", "service", "slos", "worker"}
    for file in files:
        panels = json.loads(file.read_text(encoding="utf-8"))["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        places = [panel["gridPos"] for panel in panels]
        cells = [(at["x"] + x, at["y"] + y) for at in places for x in range(at["w"]) for y in range(at["h"])]
        assert len(cells) == len(set(cells)), file
        assert max(x for x, _ in cells) < 24


@pytest.mark.slow
def test_the_case_of_an_alert_fails_without_it(render_service: Render) -> None:
    project = render_service()
    assert cases_pass(project)
    alerts = [*alerts_in(project)]
    assert alerts
    for file, alert in alerts:
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(f"- alert: {alert}\n", "- alert: Another\n", 1), encoding="utf-8")
        assert not cases_pass(project), alert
        file.write_text(text, encoding="utf-8")


def test_each_pair_of_windows_fires_by_itself(default_project: Path, tmp_path: Path) -> None:
    rules = default_project / "ops" / "prometheus" / "slos.yaml"
    cases = (ROOT / "tests" / "burn_rates.yaml").read_text(encoding="utf-8")
    (tmp_path / "tests.yaml").write_text(cases.replace("RULES", str(rules)), encoding="utf-8")
    command = [installed("promtool"), "test", "rules", "tests.yaml"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_and_alertmanager_accept_their_configurations(default_project: Path) -> None:
    ops = default_project / "ops"
    for command in (
        [installed("promtool"), "check", "config", str(ops / "prometheus" / "prometheus.yaml")],
        [installed("amtool"), "check-config", str(ops / "alertmanager.yaml")],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_leaves_this_machine_until_a_receiver_is_named(default_project: Path) -> None:
    config = yaml.safe_load((default_project / "ops" / "alertmanager.yaml").read_text(encoding="utf-8"))
    assert config["receivers"] == [{"name": "nobody"}]


def test_the_collector_uses_what_it_configures_and_keeps_errors_and_slow_traces(default_project: Path) -> None:
    """Its structure only: the collector is in no package index."""
    config = yaml.safe_load((default_project / "ops" / "collector.yaml").read_text(encoding="utf-8"))
    pipelines = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert {name for pipeline in pipelines for name in pipeline[kind]} == config[kind].keys()
    policies = config["processors"]["tail_sampling"]["policies"]
    assert [policy["type"] for policy in policies] == ["status_code", "latency", "probabilistic"]
    assert all(policy[policy["type"]] for policy in policies)


@contextmanager
def running(project: Path, recipe: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a recipe until the end of the block, and give its process and the file that it prints to."""
    log = project / f".{recipe}.log"
    command = ["uv", "run", "--quiet", "python", "-m", "chassis.dev", recipe]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=project, env=environment(), stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process, log
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def until[Found](found: Callable[[], Found], log: Path) -> Found:
    """Wait until there is something, and give it."""
    limit = time.monotonic() + PATIENCE
    while not (result := found()):
        assert time.monotonic() < limit, log.read_text()
        time.sleep(0.1)
    return result


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """Ask Prometheus, and give the labels and the value of each series."""
    try:
        with urlopen(f"{prometheus}/api/v1/query?{urlencode({'query': expression})}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except OSError:  # it has not started yet
        return []
    return found


def series_of(operations: str) -> set[str]:
    """Name what a process measures, with metrics that have no series yet."""
    with urlopen(f"{operations}/metrics", timeout=10) as answer:
        types = dict(line.split()[2:4] for line in answer.read().decode().splitlines() if line.startswith("# TYPE"))
    parts = {"histogram": ("_bucket", "_count", "_sum")}
    return {name + suffix for name, kind in types.items() for suffix in parts.get(kind, ("",))}


NAMES = """
import json
from pathlib import Path
from chassis.dev.alerts import queries, rules, selectors_in
project = Path.cwd()
recorded = {rule["record"] for rule in rules(project) if "record" in rule}
print(json.dumps(sorted({name for _, query in queries(project) for name, _ in selectors_in(query)} - recorded)))
"""


@pytest.fixture
def project(render: Render) -> Path:
    """A project with an impatient Prometheus."""
    project = render()
    run(project, "uv", "run", "just", "setup")
    prometheus = project / "ops" / "prometheus"
    for interval in ("scrape", "evaluation"):
        replace(prometheus / "prometheus.yaml", f"{interval}_interval: 15s", f"{interval}_interval: 1s")
    replace(prometheus / "alerts.yaml", "for: 2m", "for: 1s")
    replace(prometheus / "slos.yaml", "interval: 5m", "interval: 1s")
    replace(project / "ops" / "alertmanager.yaml", "group_wait: 30s", "group_wait: 0s")
    return project


class Receiver(BaseHTTPRequestHandler):
    """A webhook, which keeps what Alertmanager sends."""

    received: Queue[dict[str, Any]] = Queue()

    def do_POST(self) -> None:  # named by http.server
        self.received.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.mark.slow
def test_prometheus_reads_real_processes_and_tells_of_one_that_is_gone(project: Path) -> None:
    """A real scrape finds all metrics; with the processes ended, an alert goes through Alertmanager to a webhook."""
    installed("prometheus")
    installed("prometheus-alertmanager")
    ports = dict(zip(("API_PORT", "API_OPERATIONS_PORT", "WORKER_OPERATIONS_PORT"), free_ports(3), strict=True))
    append(project / ".env", "".join(f"{name}={port}\n" for name, port in ports.items()))
    api, *operations = (f"http://127.0.0.1:{port}" for port in ports.values())
    with serving(Receiver, "127.0.0.1") as webhook:
        replace(
            project / "ops" / "alertmanager.yaml",
            "  - name: nobody\n",
            f"  - name: nobody\n    webhook_configs: [{{url: 'http://127.0.0.1:{webhook}'}}]\n",
        )
        with running(project, "observe") as (observer, log):
            with running(project, "dev") as (backend, backend_log):
                for each in operations:
                    wait_for(f"{each}/readyz", backend, backend_log)
                headers = {"Authorization": f"Bearer {token(project)}", "Idempotency-Key": "1"}
                confirmed(api + place(api, headers), headers)
                check_metrics(project, operations)
                prometheus = until(lambda: re.findall(r"^Prometheus +(\S+)", log.read_text(), re.MULTILINE), log)[0]
                check_series(partial(query, prometheus), log)
            told = Receiver.received.get(timeout=PATIENCE)
        assert observer.returncode == 0, log.read_text()
    assert told["status"] == "firing"
    assert told["commonLabels"].items() >= {"alertname": "TargetDown", "service": "acme-shop"}.items()
    assert told["commonAnnotations"]["runbook"] == "docs/runbooks.md#targetdown"
    assert processes_in(str(project)) == []


def check_metrics(project: Path, operations: list[str]) -> None:
    """See that the real processes have every metric that a rule or a dashboard names."""
    named = set(json.loads(run(project, "uv", "run", "--quiet", "python", "-c", NAMES)))
    assert "http_requests_total" in named
    api, worker = map(series_of, operations)
    assert named - api - worker - {"up", "ALERTS"} == set()


def check_series(ask: Callable[[str], list[dict[str, Any]]], log: Path) -> None:
    """See what Prometheus has made of them, with the labels that rules and dashboards select by."""
    for expression in (
        'up{service="acme-shop", process="api"} == 1',
        'up{service="acme-shop", process="worker"} == 1',
        'jobs_total{service="acme-shop", process="worker", job="orders.confirm", outcome="done"}',
        'slo:burn_rate:5m{slo="availability", service="acme-shop"}',
        'slo:burn_rate:30d{slo="read-latency", service="acme-shop"}',
    ):
        assert until(partial(ask, expression), log), expression
