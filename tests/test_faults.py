"""The faults suite at full length, on every engine: nothing is lost, nothing doubled, and the table says so."""

from collections.abc import Callable

import pytest
from conftest import Render
from projects import run

pytestmark = pytest.mark.slow


def test_a_backend_outlives_kills_freezes_stops_and_cuts(
    render: Render, record_property: Callable[[str, object], None]
) -> None:
    project = render(queue_engine="nats", example=False)
    run(project, "uv", "run", "just", "faults", "-n", "2")
    table = (project / ".dev" / "faults.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert {row[0].partition("[")[0] for row in rows} == {
        "test_a_rolling_restart_fails_no_request",
        "test_acknowledged_writes_are_there_once",
        "test_callers_are_told_soon_and_it_goes_on_by_itself",
        "test_each_tick_queues_its_task_once",
        "test_it_serves_and_works_though_no_line_of_its_log_can_be_written",
        "test_no_end_of_a_worker_costs_a_run",
        "test_no_job_is_lost_or_done_twice",
        "test_poison_is_quarantined_and_replayed",
        "test_workers_whose_clocks_are_wrong_keep_leases_and_times",
    }
    assert {(lost, doubled) for _, _, _, lost, doubled, *_ in rows} == {("0", "0")}
    record_property("faults", table)
