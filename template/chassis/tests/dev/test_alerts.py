"""What belongs to an alert is there, and queries ask for what a process has."""

import json
from pathlib import Path

import pytest

from chassis.dev import alerts
from chassis.dev.documents import DocumentError
from chassis.runtime import Service

RULES = """
groups:
  - name: jobs
    rules:
      - {record: jobs:late, expr: max (jobs_oldest_age_seconds)}
      - alert: JobsStuck
        expr: jobs:late > 300
        annotations: {runbook: docs/runbooks.md#jobsstuck}
"""
CASES = """
rule_files: [alerts.yaml]
tests:
  - name: JobsStuck
    interval: 1m
    input_series: [{series: jobs_oldest_age_seconds, values: 0+600x5}]
    promql_expr_test:
      - {eval_time: 3m, expr: sum by (alertname) (ALERTS), exp_samples: [{labels: '{alertname="JobsStuck"}', value: 1}]}
"""
DASHBOARD = {"panels": [{"panels": [{"targets": [{"expr": "rate(jobs_total[$__rate_interval]) > jobs:late"}]}]}]}
KNOWN = {"jobs_total": (), "jobs_oldest_age_seconds": (), "job_wait_seconds_bucket": ("1.0", "30.0", "+Inf")}
RULES_FILE, DASHBOARD_FILE = f"{alerts.PROMETHEUS}/alerts.yaml", f"{alerts.DASHBOARDS}/jobs.json"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(alerts, "project_folder", lambda: tmp_path)
    files = {
        RULES_FILE: RULES,
        alerts.CASES: CASES,
        alerts.RUNBOOKS: "# Runbooks\n\n## JobsStuck\n",
        DASHBOARD_FILE: json.dumps(DASHBOARD),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_what_fits_together_has_no_finding(project: Path) -> None:
    assert list(alerts.findings(project, KNOWN)) == []


@pytest.mark.parametrize(
    ("file", "written", "instead", "found"),
    [
        (alerts.RUNBOOKS, "## JobsStuck", "## JobsLost", "JobsStuck has no section in docs/runbooks.md"),
        (alerts.RUNBOOKS, "## JobsStuck", "## JobsLost", "JobsLost is a section of docs/runbooks.md and no alert"),
        (alerts.CASES, '"JobsStuck"', '"JobsLost"', "JobsStuck fires in no case of ops/prometheus/tests.yaml"),
        (RULES_FILE, "#jobsstuck", "#jobs", "JobsStuck needs the annotation `runbook: docs/runbooks.md#jobsstuck`"),
        (RULES_FILE, "(jobs_oldest", "(jobs_eldest", "jobs:late: no metric is called jobs_eldest_age_seconds"),
        (RULES_FILE, "jobs:late > 300", "jobs:lag > 300", "JobsStuck: no metric is called jobs:lag"),
        (DASHBOARD_FILE, "jobs_total", "job_total", "ops/grafana/jobs.json: no metric is called job_total"),
        (DASHBOARD_FILE, "interval])", "interval]", "does not parse: "),
        (RULES_FILE, "expr: jobs:late > 300", "expr: ''", "JobsStuck:  does not parse: "),
        (
            DASHBOARD_FILE,
            "jobs_total",
            "job_wait_seconds_bucket{le='10'}",
            "job_wait_seconds_bucket has no bucket 10, but 1.0, 30.0, +Inf",
        ),
    ],
)
def test_what_does_not_fit_together_is_found(project: Path, file: str, written: str, instead: str, found: str) -> None:
    text = (project / file).read_text(encoding="utf-8")
    assert written in text
    (project / file).write_text(text.replace(written, instead), encoding="utf-8")
    assert any(found in each for each in alerts.findings(project, KNOWN))


def test_a_case_may_have_either_form_of_promtool(project: Path) -> None:
    case = "tests: [{alert_rule_test: [{alertname: JobsStuck, exp_alerts: [{}]}, {alertname: Other, exp_alerts: []}]}]"
    (project / alerts.CASES).write_text(case, encoding="utf-8")
    assert list(alerts.findings(project, KNOWN)) == []
    (project / alerts.CASES).write_text(case.replace("[{}]", "[]"), encoding="utf-8")
    assert list(alerts.findings(project, KNOWN)) == ["JobsStuck fires in no case of ops/prometheus/tests.yaml"]


def test_the_series_of_a_service_are_those_of_its_metrics(service: Service) -> None:
    assert service.modules
    found = alerts.metrics()
    assert {
        *("http_requests_total", "http_request_duration_seconds_bucket", "http_request_duration_seconds_count"),
        *("jobs_total", "events_lag", "python_info"),
    } <= found.keys()
    assert {"0.1", "+Inf"} <= set(found["http_request_duration_seconds_bucket"])


@pytest.mark.parametrize("file", [RULES_FILE, alerts.CASES, DASHBOARD_FILE])
def test_a_file_that_cannot_be_read_is_named(project: Path, file: str) -> None:
    (project / file).write_text("{", encoding="utf-8")
    with pytest.raises(DocumentError, match=f"{file} is not valid: "):
        list(alerts.findings(project, KNOWN))


def test_a_promtool_that_is_not_there_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMTOOL", "/none/promtool")
    with pytest.raises(DocumentError, match=r"PROMTOOL is wrong: .*/none/promtool"):
        alerts.run_cases(project)


def test_what_is_found_fails_the_check(project: Path) -> None:
    (project / DASHBOARD_FILE).write_text('[{"expr": "sum(no_such_metric)"}]', encoding="utf-8")
    with pytest.raises(DocumentError, match=r"- ops/grafana/jobs\.json: no metric is called no_such_metric"):
        alerts.check()


def test_a_project_may_have_no_alerts(project: Path) -> None:
    (project / alerts.PROMETHEUS).rename(project / "elsewhere")
    assert alerts.check().startswith("There is no ops/prometheus")


def test_without_promtool_the_check_says_that_it_ran_no_case(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMTOOL", raising=False)
    monkeypatch.setenv("PATH", "")
    assert "were not run: promtool, a part of Prometheus, is not installed" in alerts.run_cases(project)


def test_a_case_that_fails_fails_the_check(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "promtool"
    program.write_text('#!/bin/sh\necho "$*"; exit "$STATUS"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PROMTOOL", str(program))
    monkeypatch.setenv("STATUS", "0")
    assert alerts.run_cases(project) == "The cases in ops/prometheus/tests.yaml pass."
    monkeypatch.setenv("STATUS", "1")
    with pytest.raises(DocumentError, match=r"a case in .* fails:\ntest rules ops/prometheus/tests\.yaml"):
        alerts.run_cases(project)
