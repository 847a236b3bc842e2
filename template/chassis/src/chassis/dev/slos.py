"""`ops/prometheus/slos.yaml`: recording rules and burn-rate alerts, made from the objectives in `ops/slos.toml`."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from chassis.dev.documents import DocumentError
from chassis.dev.project import project_folder

SOURCE, FILE = "ops/slos.toml", "ops/prometheus/slos.yaml"
RECIPE = "uv run just slos"
FIELDS = {"summary", "objective", "total"}
# Percent of the error budget that is spent within the long window when an alert fires, if the short one is as bad.
BURNS = {
    "page": ((2, "1h", "5m"), (5, "6h", "30m")),
    "ticket": ((10, "1d", "2h"), (10, "3d", "6h")),
}
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
HOURS = {"h": 1, "d": 24}
HEAD = f"""\
# Made from {SOURCE} by `{RECIPE}`; do not edit.
groups:
  - name: slos
    rules:
"""
# It reads all of the window, which would be much every few seconds.
WHOLE_WINDOW = """
  - name: slos-window
    interval: 5m
    rules:
"""
# The burn rate is the ratio of bad events to what the objective allows: at 1, the budget lasts exactly for its window.
RECORD = """\
      - record: {name}
        expr: >-
          {expression}
"""
LABELS = "        labels: {{slo: {}}}\n"
ALERT = """\
      - alert: {alert}
        expr: >-
          {expression}
        labels: {{severity: {severity}}}
        annotations:
          summary: {summary}
          runbook: docs/runbooks.md#{anchor}
"""


def written() -> str:
    """Give the rules of the objectives. Raises DocumentError."""
    try:
        found = tomllib.loads((project_folder() / SOURCE).read_text(encoding="utf-8"), parse_float=Decimal)
        return HEAD + "".join(_rules(found["slos"], found["window_days"]))
    except (ValueError, KeyError) as error:
        raise DocumentError(f"{SOURCE} is not valid: {error}") from error


def write() -> None:
    (project_folder() / FILE).write_text(written(), encoding="utf-8")


def check() -> str:
    """Compare the rules with the objectives; answer what was compared. Raises DocumentError."""
    if not (project_folder() / SOURCE).exists():
        return f"There is no {SOURCE}, so there are no rules to compare with it."
    file = project_folder() / FILE
    if not file.exists() or file.read_text(encoding="utf-8") != written():
        raise DocumentError(f"{FILE} is not up to date with {SOURCE}: type `{RECIPE}`, and commit it")
    return f"{FILE} matches {SOURCE}."


def _rules(slos: Mapping[str, Any], days: int) -> Iterator[str]:
    for name, slo in slos.items():
        _require_valid(name, slo, days)
        yield from (_record(*each) + LABELS.format(name) for each in _counted(slo))
    yield from (_record(f"slo:burn_rate:{window}", _burn_rate(window)) for window in WINDOWS)
    for name, slo in slos.items():
        yield from (_alert(name, slo["summary"], severity, days) for severity in BURNS)
    yield WHOLE_WINDOW + _record(f"slo:burn_rate:{days}d", _burn_rate(f"{days}d"))


def _require_valid(name: str, slo: Mapping[str, Any], days: int) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ValueError(f"{name}: write the name as in read-latency")
    if set(slo) not in (FIELDS | {"good"}, FIELDS | {"bad"}):
        raise ValueError(f"{name}: it needs {', '.join(sorted(FIELDS))}, and either good or bad")
    objective = slo["objective"]
    if not isinstance(objective, int | Decimal) or not 0 < objective < 100:  # noqa: PLR2004  # percent
        raise ValueError(f"{name}: its objective is a percentage between 0 and 100")
    if min(_factor(days, percent, long) for percent, long, _ in BURNS["page"]) * float(_budget(slo)) >= 1:
        raise ValueError(f"{name}: its page would never fire, not even with bad events only: raise the objective")


def _counted(slo: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    total = f"sum by (service) (rate({slo['total']}[5m]))"
    yield "slo:total:rate5m", total
    if "good" in slo:
        yield "slo:bad:rate5m", f"{total} - sum by (service) (rate({slo['good']}[5m]))"
    else:  # as long as no event is bad, there is no series
        yield "slo:bad:rate5m", f"sum by (service) (rate({slo['bad']}[5m])) or 0 * {total}"
    yield "slo:budget:ratio", f"vector({_budget(slo)})"


def _budget(slo: Mapping[str, Any]) -> Decimal:
    return (100 - Decimal(slo["objective"])) / 100


def _burn_rate(window: str) -> str:
    bad, total = (
        f"slo:{each}:rate5m" if window == "5m" else f"avg_over_time(slo:{each}:rate5m[{window}])"
        for each in ("bad", "total")
    )
    return f"{bad} / {total} / on (slo) group_left slo:budget:ratio"


def _record(name: str, expression: str) -> str:
    return RECORD.format(name=name, expression=expression)


def _alert(slo: str, summary: str, severity: str, days: int) -> str:
    alert = f"{slo.title().replace('-', '')}BurnRate"
    return ALERT.format(
        alert=alert,
        expression="\n          or ".join(_burns(slo, days, *burn) for burn in BURNS[severity]),
        severity=severity,
        summary=json.dumps(f"The error budget is spent too fast. Objective: {summary}", ensure_ascii=False),
        anchor=alert.lower(),
    )


def _burns(slo: str, days: int, percent: int, long: str, short: str) -> str:
    """Compare both windows with the burn rate that spends this part of the budget within the long one."""
    factor = f"{_factor(days, percent, long):g}"
    return " and ".join(f'slo:burn_rate:{window}{{slo="{slo}"}} > {factor}' for window in (long, short))


def _factor(days: int, percent: int, long: str) -> float:
    return percent * days * 24 / 100 / (int(long[:-1]) * HOURS[long[-1]])
