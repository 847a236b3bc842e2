"""Rules follow from objectives: the error budget, how fast it is spent, and when that is too fast."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.dev import slos
from chassis.dev.documents import DocumentError

OBJECTIVES = """
window_days = 30

[slos.read-latency]
summary = "Reads are fast: 95 %."
objective = 99.5
total = 'reads_count{method="GET"}'
good = 'reads_bucket{method="GET", le="0.1"}'
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(slos, "project_folder", lambda: tmp_path)
    (tmp_path / "ops" / "prometheus").mkdir(parents=True)
    (tmp_path / slos.SOURCE).write_text(OBJECTIVES, encoding="utf-8")
    return tmp_path


def change(project: Path, written: str, instead: str) -> None:
    file = project / slos.SOURCE
    file.write_text(file.read_text(encoding="utf-8").replace(written, instead), encoding="utf-8")


def made() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(slos.written())["groups"] for rule in group["rules"]]


def recorded() -> dict[str, str]:
    return {rule["record"]: rule["expr"] for rule in made() if "record" in rule}


def test_the_budget_is_what_the_objective_leaves(project: Path) -> None:
    assert recorded()["slo:budget:ratio"] == "vector(0.005)"
    change(project, "99.5", "99")
    assert recorded()["slo:budget:ratio"] == "vector(0.01)"


@pytest.mark.usefixtures("project")
def test_events_that_are_not_good_are_bad() -> None:
    total = 'sum by (service) (rate(reads_count{method="GET"}[5m]))'
    good = 'sum by (service) (rate(reads_bucket{method="GET", le="0.1"}[5m]))'
    assert recorded()["slo:total:rate5m"] == total
    assert recorded()["slo:bad:rate5m"] == f"{total} - {good}"


def test_no_bad_event_is_a_rate_of_zero(project: Path) -> None:
    change(project, "good =", "bad =")
    assert recorded()["slo:bad:rate5m"].endswith(f" or 0 * {recorded()['slo:total:rate5m']}")


@pytest.mark.usefixtures("project")
def test_an_objective_has_a_page_and_a_ticket_that_name_its_runbook() -> None:
    page, ticket = (rule for rule in made() if "alert" in rule)
    assert page["alert"] == ticket["alert"] == "ReadLatencyBurnRate"
    assert page["annotations"] == {
        "summary": "The error budget is spent too fast. Objective: Reads are fast: 95 %.",
        "runbook": "docs/runbooks.md#readlatencyburnrate",
    }
    assert (page["labels"], ticket["labels"]) == ({"severity": "page"}, {"severity": "ticket"})


@pytest.mark.parametrize(
    ("days", "factors"), [(30, ["14.4", "6", "3", "1"]), (28, ["13.44", "5.6", "2.8", "0.933333"])]
)
def test_an_alert_fires_when_a_part_of_the_budget_is_spent(project: Path, days: int, factors: list[str]) -> None:
    change(project, "window_days = 30", f"window_days = {days}")
    windows = [("1h", "5m"), ("6h", "30m"), ("1d", "2h"), ("3d", "6h")]
    expected = [
        f'slo:burn_rate:{long}{{slo="read-latency"}} > {factor}'
        f' and slo:burn_rate:{short}{{slo="read-latency"}} > {factor}'
        for (long, short), factor in zip(windows, factors, strict=True)
    ]
    found = [part for rule in made() if "alert" in rule for part in rule["expr"].split(" or ")]
    assert found == expected
    assert {f"slo:burn_rate:{window}" for pair in windows for window in pair} <= recorded().keys()
    assert f"slo:burn_rate:{days}d" in recorded()


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("99.5", "100", "read-latency: its objective is a percentage between 0 and 100"),
        ("99.5", '"99.5"', "read-latency: its objective is a percentage between 0 and 100"),
        ("99.5", "83", "read-latency: its page would never fire"),
        ("good =", "god =", "read-latency: it needs objective, summary, total, and either good or bad"),
        ("objective = 99.5\n", "", "read-latency: it needs objective, summary, total, and either good or bad"),
        ("read-latency", "read_latency", "read_latency: write the name as in read-latency"),
        ("window_days", "window", "'window_days'"),
        ("99.5", "99.5.", "line 6"),
    ],
)
def test_a_mistake_in_the_objectives_is_said(project: Path, written: str, instead: str, said: str) -> None:
    change(project, written, instead)
    with pytest.raises(DocumentError, match=r"ops/slos\.toml is not valid: .*") as raised:
        slos.written()
    assert said in str(raised.value)


def test_the_rules_are_held_to_the_objectives(project: Path) -> None:
    with pytest.raises(DocumentError, match="not up to date"):
        slos.check()
    slos.write()
    assert slos.check() == "ops/prometheus/slos.yaml matches ops/slos.toml."
    change(project, "99.5", "99")
    with pytest.raises(DocumentError, match=r"not up to date with ops/slos\.toml: type `uv run just slos`"):
        slos.check()


def test_a_project_may_have_no_objectives(project: Path) -> None:
    (project / slos.SOURCE).unlink()
    assert slos.check().startswith("There is no ops/slos.toml")
