"""Holds `ops/` together: every alert has a case and a runbook, every query parses and names metrics that exist."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any

import promql_parser
import yaml
from prometheus_client import REGISTRY

from chassis.dev.documents import DocumentError
from chassis.dev.project import project_folder, service

PROMETHEUS, DASHBOARDS, RUNBOOKS = "ops/prometheus", "ops/grafana", "docs/runbooks.md"
CASES = f"{PROMETHEUS}/tests.yaml"
# Prometheus's own, and those of a process, which the client has on Linux only.
BUILT_IN = re.compile(r"up|ALERTS|scrape_\w+|process_\w+")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}
# Grafana replaces them by a duration.
VARIABLE = re.compile(r"\$__\w+")

type Rule = Mapping[str, Any]


def check() -> str:
    """Compare rules, cases, runbooks and dashboards, and run the cases. Raises DocumentError."""
    project = project_folder()
    if not (project / PROMETHEUS).is_dir():
        return f"There is no {PROMETHEUS}, so there are no alerts to check."
    if found := list(findings(project, metrics())):
        raise DocumentError("\n".join(["correct these in ops/ and docs/:", *(f"- {each}" for each in found)]))
    return f"Every alert has a runbook and a case, and every query names metrics that exist.\n{run_cases(project)}"


def run_cases(project: Path) -> str:
    """Run the cases of the alerts with promtool, if it is installed. Raises DocumentError."""
    promtool = os.environ.get("PROMTOOL") or which("promtool")
    if promtool is None:
        return f"The cases in {CASES} were not run: promtool, a part of Prometheus, is not installed."
    command = [promtool, "test", "rules", CASES]
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    if done.returncode:
        raise DocumentError(f"a case in {CASES} fails:\n{done.stdout}{done.stderr}")
    return f"The cases in {CASES} pass."


def metrics() -> set[str]:
    """Name the series of the service: those of the chassis and those of its modules."""
    _ = service().modules  # imports them
    return {
        f"{family.name}{suffix}" for family in REGISTRY.collect() for suffix in SUFFIXES.get(family.type, ("", "_info"))
    }


def findings(project: Path, known: set[str]) -> Iterator[str]:
    """Name what an alert lacks, and what is wrong with a query."""
    found = list(rules(project))
    yield from unprepared(project, [each for each in found if "alert" in each])
    recorded = {each["record"] for each in found if "record" in each}
    for place, query in queries(project):
        yield from (f"{place}: {fault}" for fault in faults(query, known | recorded))


def rules(project: Path) -> Iterator[Rule]:
    for file in sorted((project / PROMETHEUS).glob("*.yaml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8")).get("groups", ()):
            yield from group["rules"]


def unprepared(project: Path, alerts: Iterable[Rule]) -> Iterator[str]:
    """Name alerts without a runbook or a case, and runbooks without an alert."""
    annotated = {each["alert"]: each.get("annotations", {}).get("runbook") for each in alerts}
    sections = set(re.findall(r"^## (\w+)$", (project / RUNBOOKS).read_text(encoding="utf-8"), re.MULTILINE))
    tested = set(_fired(yaml.safe_load((project / CASES).read_text(encoding="utf-8"))["tests"]))
    yield from (f"{name} has no section in {RUNBOOKS}" for name in sorted(annotated.keys() - sections))
    yield from (f"{name} is a section of {RUNBOOKS} and no alert" for name in sorted(sections - annotated.keys()))
    yield from (f"{name} fires in no case of {CASES}" for name in sorted(annotated.keys() - tested))
    for name, runbook in annotated.items():
        if runbook != (anchor := f"{RUNBOOKS}#{name.lower()}"):
            yield f"{name} needs the annotation `runbook: {anchor}`"


def _fired(cases: Iterable[Rule]) -> Iterator[str]:
    """Name the alerts that cases expect, in either form that promtool has for it."""
    for case in cases:
        yield from (each["alertname"] for each in case.get("alert_rule_test", ()) if each.get("exp_alerts"))
        yield from re.findall(r'alertname=\\"(\w+)', json.dumps(case.get("promql_expr_test", ())))


def queries(project: Path) -> Iterator[tuple[str, str]]:
    """Give the queries of rules and dashboards, each with where it is."""
    for rule in rules(project):
        yield rule.get("alert") or rule["record"], rule["expr"]
    for file in sorted((project / DASHBOARDS).glob("*.json")):
        for query in _expressions(json.loads(file.read_text(encoding="utf-8"))):
            yield f"{DASHBOARDS}/{file.name}", query


def _expressions(part: object) -> Iterator[str]:
    """Find the queries wherever Grafana has put them: panels may be in rows."""
    if isinstance(part, dict):
        if isinstance(query := part.get("expr"), str):
            yield VARIABLE.sub("5m", query)
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _expressions(each)


def faults(query: str, known: set[str]) -> list[str]:
    """Say that a query does not parse, or which of its metrics do not exist."""
    try:
        named = names_in(query)
    except ValueError as error:
        return [f"{query} does not parse: {error}"]
    return [f"no metric is called {name}" for name in named if name not in known and not BUILT_IN.fullmatch(name)]


def names_in(query: str) -> list[str]:
    """Name the series that a query selects. Raises ValueError."""
    named: list[str] = []

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            named.append(str(part.name))

    promql_parser.walk(promql_parser.parse(query), visit)
    return named
