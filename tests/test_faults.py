"""The faults suite at full length, on every engine: nothing is lost, nothing doubled, and the table says so."""

import re
from collections.abc import Callable

import pytest
from conftest import Render
from projects import run

pytestmark = pytest.mark.slow

TEST = re.compile(r"^async def (test_\w+)", re.MULTILINE)


def test_a_backend_outlives_kills_freezes_stops_and_cuts(
    render: Render, record_property: Callable[[str, object], None]
) -> None:
    project = render(queue_engine="nats", example=False)
    run(project, "uv", "run", "just", "faults", "-n", "2")
    table = (project / ".dev" / "faults.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    tests = {name for path in project.glob("tests/faults/test_*.py") for name in TEST.findall(path.read_text())}
    assert {row[0].partition("[")[0] for row in rows} == tests
    assert {tuple(row[3:7]) for row in rows} == {("0", "0", "0", "0")}
    record_property("faults", table)
