"""The faults suite of the chassis at full length: nothing is lost, nothing doubled, and the table says so."""

import re
import subprocess
from collections.abc import Callable

import pytest
from conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

CHASSIS = ROOT / "template" / "chassis"
# A test that records what was acknowledged, and so has a row.
TEST = re.compile(r"^async def (test_\w+)\([^)]*\brecord: Record\b", re.MULTILINE)


def test_a_backend_outlives_kills_freezes_stops_and_cuts(record_property: Callable[[str, object], None]) -> None:
    file = CHASSIS / ".dev" / "faults.md"
    command = ["env", "FAULTS_SCALE=full", f"FAULTS_TABLE={file}", "uv", "run", "pytest", "-n", "2", "tests/faults"]
    done = subprocess.run(command, cwd=CHASSIS, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    table = file.read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    tests = {name for path in CHASSIS.glob("tests/faults/test_*.py") for name in TEST.findall(path.read_text())}
    assert {row[0].partition("[")[0] for row in rows} == tests
    assert {tuple(row[3:7]) for row in rows} == {("0", "0", "0", "0")}
    record_property("faults", table)
