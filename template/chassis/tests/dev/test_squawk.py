"""A revision that rewrites or blocks a table, or takes from the running release, is refused."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from chassis.dev import squawk
from chassis.dev.squawk import lint
from chassis.identity.api_keys import api_keys
from chassis.runtime import Service

type Plant = Callable[[str, str], Mapping[str, Path]]

OWNERS = ("chassis_jobs", "chassis_http", "chassis_events", "notes")
# The rules are the file of the project that the chassis is a folder of.
PROJECT = Path(__file__).resolve().parents[3]
REVISION = """
from alembic import op

revision = "{owner}_9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute({statement!r})
"""
REFUSED = {
    "require-concurrent-index-creation": "CREATE INDEX by_text ON notes (text)",
    "ban-drop-column": "ALTER TABLE notes DROP COLUMN text",
    "renaming-column": "ALTER TABLE notes RENAME COLUMN text TO words",
    "changing-column-type": "ALTER TABLE notes ALTER COLUMN text TYPE bigint USING 1",
    "adding-not-nullable-field": "ALTER TABLE notes ALTER COLUMN text SET NOT NULL",
    "adding-field-with-default": "ALTER TABLE notes ADD COLUMN token uuid DEFAULT gen_random_uuid()",
    "constraint-missing-not-valid": "ALTER TABLE notes ADD CONSTRAINT short CHECK (length(text) < 9)",
}
ALLOWED = "-- squawk-ignore ban-drop-column\nALTER TABLE notes DROP COLUMN text"


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squawk, "project_folder", lambda: PROJECT)


@pytest.fixture
def plant(service: Service, tmp_path: Path) -> Plant:
    """Copy an owner's revisions and add one."""

    def plant_revision(owner: str, statement: str) -> Mapping[str, Path]:
        for path in service.migrations[owner].glob("*.py"):
            (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        head = max(path.stem for path in tmp_path.glob(f"{owner}_*.py"))[: len(f"{owner}_0000")]
        text = REVISION.format(owner=owner, head=head, statement=statement)
        (tmp_path / f"{owner}_9999_planted.py").write_text(text, encoding="utf-8")
        return {owner: tmp_path}

    return plant_revision


def test_all_revisions_pass(service: Service) -> None:
    owners = service.migrations
    assert tuple(owners) == OWNERS
    assert lint({**owners, **api_keys.migrations}) == 0


@pytest.mark.parametrize("owner", OWNERS)
def test_a_violation_of_any_owner_is_refused(owner: str, plant: Plant, capfd: pytest.CaptureFixture[str]) -> None:
    assert lint(plant(owner, REFUSED["ban-drop-column"])) == 1
    printed = capfd.readouterr().out
    assert "ban-drop-column" in printed
    assert f"{owner}_9999.sql" in printed


@pytest.mark.parametrize("rule", REFUSED)
def test_what_blocks_or_breaks_is_refused_by_name(rule: str, plant: Plant, capfd: pytest.CaptureFixture[str]) -> None:
    assert lint(plant("notes", REFUSED[rule])) == 1
    assert rule in capfd.readouterr().out


def test_an_exception_is_named_where_it_stands(plant: Plant) -> None:
    assert lint(plant("notes", ALLOWED)) == 0
