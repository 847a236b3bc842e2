"""What is installed runs with the project's configuration, on this machine only."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.dev import environment, observe
from chassis.dev.ports import free_port

CONFIGURATION = """
rule_files: [alerts.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["alerts.example:9093"]}]}]}
scrape_configs:
  - job_name: service
    static_configs:
      - {targets: ["api.example:8001"], labels: {process: api}}
      - {targets: ["worker.example:8001"], labels: {process: worker}}
      - {targets: ["other.example:9100"]}
  - {job_name: discovered, dns_sd_configs: [{names: [api.example]}]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(observe, "project_folder", lambda: tmp_path)
    monkeypatch.setattr(environment, "set_variables", lambda: None)
    (tmp_path / "ops" / "prometheus").mkdir(parents=True)
    (tmp_path / "ops" / "prometheus" / "prometheus.yaml").write_text(CONFIGURATION, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def install(project: Path, name: str, script: str) -> None:
    program = project / "bin" / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)


def configuration(project: Path, **ports: int) -> dict[str, Any]:
    observe.ARGUMENTS["prometheus"](project, ports)
    config: dict[str, Any] = yaml.safe_load((project / "prometheus.yaml").read_text(encoding="utf-8"))
    return config


def test_the_processes_of_development_are_scraped(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_OPERATIONS_PORT", "9002")
    monkeypatch.delenv("API_OPERATIONS_PORT", raising=False)
    config = configuration(project, prometheus=1)
    api, worker, other = (each["targets"] for each in config["scrape_configs"][0]["static_configs"])
    assert (api, worker, other) == (["127.0.0.1:8001"], ["127.0.0.1:9002"], ["other.example:9100"])
    assert config["rule_files"] == [str(project / "ops" / "prometheus" / "alerts.yaml")]


def test_alerts_are_sent_to_this_machine_or_nowhere(project: Path) -> None:
    for ports, targets in (({"alertmanager": 2}, ["127.0.0.1:2"]), ({}, [])):
        config = configuration(project, prometheus=1, **ports)
        assert config["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": targets}]}]}


def test_without_prometheus_it_is_said_how_to_get_it(project: Path) -> None:
    assert project
    with pytest.raises(observe.ObserveError, match=r"Prometheus is not installed\. Debian and Ubuntu: apt install"):
        observe.main()


def test_a_program_that_ends_ends_the_others(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(project, "prometheus", f'echo $$ >"{project}/pid"; exec /bin/sleep 60')
    install(project, "prometheus-alertmanager", f'while ! [ -s "{project}/pid" ]; do :; done; echo broken; exit 1')
    with pytest.raises(observe.ObserveError, match=r"alertmanager has ended, see .*/alertmanager\.log"):
        observe.main()
    assert (project / ".dev" / "observe" / "alertmanager.log").read_text() == "broken\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int((project / "pid").read_text()), 0)
    printed = capsys.readouterr().out
    assert "\nAlertmanager  http://127.0.0.1:" in printed
    assert "\nGrafana       not installed\nCtrl-C ends all of it. Debian" in printed


def test_grafana_has_the_dashboards_of_the_project(project: Path) -> None:
    install(project, "grafana", "exit 1")
    (project / "share" / "grafana" / "conf").mkdir(parents=True)
    (project / "share" / "grafana" / "conf" / "defaults.ini").touch()
    command = observe.ARGUMENTS["grafana"](project, {"prometheus": 1, "grafana": 2})
    assert command[:3] == ["server", "--homepath", str(project / "share" / "grafana")]
    assert {"cfg:server.http_addr=127.0.0.1", "cfg:server.http_port=2"} <= set(command)
    [source], [dashboards] = (
        yaml.safe_load((project / "provisioning" / kind / "ops.yaml").read_text(encoding="utf-8"))[part]
        for kind, part in (("datasources", "datasources"), ("dashboards", "providers"))
    )
    assert source["url"] == "http://127.0.0.1:1"
    assert dashboards["options"]["path"] == str(project / "ops" / "grafana")


def test_a_port_that_is_taken_is_passed_by() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
