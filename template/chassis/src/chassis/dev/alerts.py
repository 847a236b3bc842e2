"""Holds `ops/` together: every alert has a case and a runbook, every query parses and names metrics that exist."""

import json
import os
import re
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any

import promql_parser
import yaml
from prometheus_client import REGISTRY, Histogram
from prometheus_client.utils import floatToGoString

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
# Series by their names, those of histograms with the bounds of their buckets.
type Series = Mapping[str, Collection[str]]


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
    try:
        done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    except OSError as error:
        raise DocumentError(f"PROMTOOL is wrong: {error}") from error
    if done.returncode:
        raise DocumentError(f"a case in {CASES} fails:\n{done.stdout}{done.stderr}")
    return f"The cases in {CASES} pass."


def metrics() -> Series:
    """Name the series of the service: those of the chassis and those of its modules."""
    _ = service().modules  # imports them
    found: dict[str, Collection[str]] = {
        f"{family.name}{suffix}": ()
        for family in REGISTRY.collect()
        for suffix in SUFFIXES.get(family.type, ("", "_info"))
    }
    for metric, names in REGISTRY._collector_to_names.items():  # noqa: SLF001  # nothing else tells the buckets
        if isinstance(metric, Histogram):
            buckets = [str(floatToGoString(bound)) for bound in metric._upper_bounds]  # type: ignore[no-untyped-call]  # noqa: SLF001
            found |= {name: buckets for name in names if name.endswith("_bucket")}
    return found


def findings(project: Path, known: Series) -> Iterator[str]:
    """Name what an alert lacks, and what is wrong with a query."""
    found = list(rules(project))
    yield from unprepared(project, [each for each in found if "alert" in each])
    known = {**known, **{each["record"]: () for each in found if "record" in each}}
    for place, query in queries(project):
        yield from (f"{place}: {fault}" for fault in faults(query, known))


def rules(project: Path) -> Iterator[Rule]:
    for file in sorted((project / PROMETHEUS).glob("*.yaml")):
        for group in _read(project, file).get("groups", ()):
            yield from group["rules"]


def _read(project: Path, file: Path) -> Any:  # noqa: ANN401  # of any type
    """Read YAML, of which JSON is a part. Raises DocumentError."""
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DocumentError(f"{file.relative_to(project)} is not valid: {error}") from error


def unprepared(project: Path, alerts: Iterable[Rule]) -> Iterator[str]:
    """Name alerts without a runbook or a case, and runbooks without an alert."""
    annotated = {each["alert"]: each.get("annotations", {}).get("runbook") for each in alerts}
    sections = set(re.findall(r"^## (\w+)$", (project / RUNBOOKS).read_text(encoding="utf-8"), re.MULTILINE))
    tested = set(_fired(_read(project, project / CASES)["tests"]))
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
        yield rule.get("alert") or rule.get("record", "a rule without a name"), rule.get("expr", "")
    for file in sorted((project / DASHBOARDS).glob("*.json")):
        for query in _expressions(_read(project, file)):
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


def faults(query: str, known: Series) -> list[str]:
    """Say that a query does not parse, or which of its metrics or buckets do not exist."""
    try:
        selected = selectors_in(query)
    except ValueError as error:
        return [f"{query} does not parse: {error}"]
    found = [
        f"no metric is called {name}" for name, _ in selected if name not in known and not BUILT_IN.fullmatch(name)
    ]
    for name, bounds in selected:
        if buckets := known.get(name):
            found += [
                f"{name} has no bucket {bound}, but {', '.join(buckets)}" for bound in bounds if bound not in buckets
            ]
    return found


def selectors_in(query: str) -> list[tuple[str, list[str]]]:
    """Name the series that a query selects, each with the buckets. Raises ValueError."""
    found: list[tuple[str, list[str]]] = []

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            equal = [each for each in part.matchers.matchers if each.op == promql_parser.MatchOp.Equal]
            found.append((str(part.name), [each.value for each in equal if each.name == "le"]))

    promql_parser.walk(promql_parser.parse(query), visit)
    return found
