"""Revisions are numbered one after the other, also after a merge of two branches."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from chassis.data.migration import MigrationError, configuration, migrate
from chassis.dev import revisions
from chassis.dev.revisions import USAGE, RevisionError, add, renumber
from chassis.settings import Settings


@pytest.mark.parametrize("arguments", [[], ["notes"], ["notes", "add", "a", "note"]])
def test_two_arguments_are_needed(arguments: list[str]) -> None:
    with pytest.raises(RevisionError) as raised:
        add(arguments)
    assert str(raised.value) == USAGE


def test_an_owner_that_is_not_there_is_said_with_those_that_are() -> None:
    owners = "there are chassis_jobs, chassis_http, chassis_events, notes"
    with pytest.raises(RevisionError, match=f"no module called missing: make its package first; {owners}"):
        add(["missing", "add a note"])


REVISION = """
from alembic import op

revision = "{owner}_{number:04}"
down_revision = {down}
branch_labels = {labels}
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE {table} (id int)")


def downgrade() -> None:
    op.execute("DROP TABLE {table}")
"""


class Things:
    """An owner of tables, whose revisions are these."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.owners = {"things": folder}

    def write(self, number: int, text: str, after: int | None = None) -> None:
        down, labels = (f'"things_{after:04}"', None) if after else (None, ("things",))
        written = REVISION.format(owner="things", number=number, down=down, labels=labels, table=text)
        (self.folder / f"things_{number:04}_{text}.py").write_text(written)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.py"))

    def followed(self) -> dict[str, object]:
        script = ScriptDirectory.from_config(configuration(self.owners))
        return {revision.revision: revision.down_revision for revision in script.walk_revisions()}


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Things:
    things = Things(tmp_path)
    monkeypatch.setattr(revisions, "_owners", lambda: things.owners)
    things.write(1, "begin")
    return things


async def test_a_number_that_two_branches_have_made_is_refused_and_mended(
    things: Things, empty: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    things.write(2, "here", after=1)
    things.write(2, "there", after=1)
    things.write(3, "there_too", after=2)
    said = (
        "things_0002_here.py and things_0002_there.py are both the revision things_0002: .*"
        "`uv run just renumber things things_0002_there.py`"
    )
    with pytest.raises(MigrationError, match=said):
        await migrate(empty, things.owners)
    with pytest.raises(MigrationError, match=said):
        add(["things", "add a note"])
    renumber(["things", "migrations/things_0002_there.py", "things_0003_there_too.py"])
    assert things.files() == [
        "things_0001_begin.py",
        "things_0002_here.py",
        "things_0003_there.py",
        "things_0004_there_too.py",
    ]
    assert things.followed() == {
        "things_0001": None,
        "things_0002": "things_0001",
        "things_0003": "things_0002",
        "things_0004": "things_0003",
    }
    assert "things_0002_there.py is things_0003_there.py, after things_0002.\n" in capsys.readouterr().out
    await migrate(empty, things.owners)


async def test_the_next_number_is_the_highest_plus_one(things: Things, empty: Settings) -> None:
    things.write(7, "squashed")
    (things.folder / "things_0001_begin.py").unlink()
    add(["things", "go on"])
    assert things.followed() == {"things_0007": None, "things_0008": "things_0007"}
    await migrate(empty, things.owners)


async def test_the_next_revision_merges_two_heads(things: Things, empty: Settings) -> None:
    things.write(2, "here", after=1)
    things.write(3, "there", after=1)
    await migrate(empty, things.owners)
    add(["things", "merge the two"])
    assert things.followed()["things_0004"] == ("things_0002", "things_0003")
    await migrate(empty, things.owners)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "uv run just renumber OWNER FILE"),
        (["things"], "uv run just renumber OWNER FILE"),
        (["missing", "things_0001_begin.py"], "no module called missing"),
        (["things", "things_0002.py"], r"no revision of things is in things_0002\.py: there are things_0001_begin\.py"),
        (["things", "things_0001_begin.py"], "no other revision is left"),
    ],
)
def test_what_cannot_be_renumbered_is_said(things: Things, arguments: list[str], said: str) -> None:
    with pytest.raises(RevisionError, match=said):
        renumber(arguments)
    assert things.files() == ["things_0001_begin.py"]
