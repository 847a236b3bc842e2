"""The questions as shown in a terminal."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from conftest import text_files
from record import BLOCK, COPIER, README, questions, record
from terminal import BACKSPACE, CLEAR, CTRL_C, ENTER, Terminal

# Workers of xdist have threads; the forked process immediately runs another program.
pytestmark = pytest.mark.filterwarnings(r"ignore:.*use of forkpty\(\):DeprecationWarning")

type Start = Callable[..., Terminal]

SLUGS_REFUSED = {
    "acme!": "Use a-z, 0-9 and single hyphens",
    "a" * 64: "Use at most 63 characters",
    "class": "Conflicts with a Python keyword",
    "con": "Conflicts with a Windows device",
    "chassis": "Conflicts with a project folder",
    "json": "Conflicts with a Python module",
    "rust-just": "Conflicts with a dependency",
}


@pytest.fixture
def start(template: Path, tmp_path: Path) -> Iterator[Start]:
    """Run `copier copy` into the folder `shop`, in a terminal of this size."""
    with ExitStack() as stack:

        def start_copying(columns: int = 80, rows: int = 24) -> Terminal:
            command = [str(COPIER), "copy", str(template), "shop"]
            return stack.enter_context(Terminal(command, tmp_path, columns=columns, rows=rows))

        yield start_copying


def accept(terminal: Terminal, asked: list[str]) -> None:
    """Accept the default of each question."""
    for question in asked:
        terminal.wait_for(question)
        terminal.press(ENTER)


def answers_of(project: Path) -> dict[str, object]:
    answers: dict[str, object] = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    return answers


def test_enter_at_each_question_makes_the_default_project(
    start: Start, template: Path, default_project: Path, tmp_path: Path
) -> None:
    asked = questions(template)
    terminal = start()
    accept(terminal, asked[:-1])
    screen = terminal.wait_for(asked[-1])
    assert screen.startswith("Eight questions. Press Enter to accept a default, Ctrl-U to clear it.")
    assert re.findall(r"🎤 (.*)", screen) == asked
    assert len(asked) <= 9
    terminal.press(ENTER)
    assert terminal.wait_for_end() == 0
    assert "Acme Shop is in shop. Next:\n\n    cd shop\n    git init" in terminal.text()
    written, defaults = tmp_path / "shop", text_files(default_project)
    assert [path.relative_to(written) for path in text_files(written)] == [
        path.relative_to(default_project) for path in defaults
    ]
    for path in defaults:
        assert (written / path.relative_to(default_project)).read_bytes() == path.read_bytes(), path


@pytest.mark.slow
def test_an_invalid_answer_is_explained_and_can_be_corrected(start: Start, template: Path, tmp_path: Path) -> None:
    name, slug, *others = questions(template)
    terminal = start()
    accept(terminal, [name])
    terminal.wait_for(slug)
    terminal.press(CLEAR, "acme-bakery!")
    terminal.wait_for("Validation error for question 'project_slug': Use a-z, 0-9 and single hyphens")
    terminal.press(ENTER, BACKSPACE, "-2")
    screen = terminal.wait_for("acme-bakery-2")
    assert others[0] not in screen
    terminal.press(ENTER)
    accept(terminal, others)
    assert terminal.wait_for_end() == 0
    assert answers_of(tmp_path / "shop")["project_slug"] == "acme-bakery-2"


def test_error_messages_fit_a_line_of_the_screen(start: Start, template: Path) -> None:
    name, slug, *_ = questions(template)
    terminal = start()
    accept(terminal, [name])
    terminal.wait_for(slug)
    for text, reason in SLUGS_REFUSED.items():
        terminal.press(CLEAR, text)
        terminal.wait_for(f"'project_slug': {reason}")


def test_every_error_message_fits_beside_the_name_of_its_question(template: Path) -> None:
    sources = "".join((template / "includes" / name).read_text() for name in ("checks.jinja", "names.jinja"))
    reasons = re.findall(r"-%\}([A-Z].*)$", sources, re.MULTILINE)
    assert len(reasons) >= 14
    for reason in reasons:
        words = re.sub(r"\{\{.*?\}\}", "254", reason)
        assert len(f"Validation error for question 'project_slug': {words}") <= 80, reason


@pytest.mark.slow
def test_a_name_whose_short_name_is_reserved_gets_another_default(start: Start, template: Path, tmp_path: Path) -> None:
    name, *others = questions(template)
    terminal = start()
    terminal.wait_for(name)
    terminal.press(CLEAR, "Calendar", ENTER)
    accept(terminal, others)
    assert terminal.wait_for_end() == 0
    answers = answers_of(tmp_path / "shop")
    assert (answers["project_name"], answers["project_slug"]) == ("Calendar", "calendar-backend")


@pytest.mark.parametrize("answered", [1, 6], ids=["second question", "last question"])
def test_ctrl_c_leaves_nothing_behind(start: Start, template: Path, tmp_path: Path, answered: int) -> None:
    asked = questions(template)
    terminal = start()
    accept(terminal, asked[:answered])
    terminal.wait_for(asked[answered])
    terminal.press(CTRL_C)
    assert terminal.wait_for_end() == 1
    assert terminal.text().endswith("Execution stopped by user")
    assert "Traceback" not in terminal.text()
    assert not (tmp_path / "shop").exists()


def test_without_a_terminal_the_last_line_names_the_option_to_use(template: Path, tmp_path: Path) -> None:
    command = [str(COPIER), "copy", str(template), str(tmp_path / "shop")]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True
    )
    assert done.returncode == 1
    assert "Use `--defaults` and/or `--data`" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_narrow_terminal_shows_each_question_whole(start: Start, template: Path, tmp_path: Path) -> None:
    """Copier's prefix fills the line, so the error message is cut off; the answer can still be corrected."""
    name, slug, *others = questions(template)
    terminal = start(columns=40, rows=15)
    accept(terminal, [name])
    terminal.wait_for(slug)
    terminal.press(CLEAR, "acme bakery")
    terminal.wait_for("Validation error for question 'project_s")
    terminal.press(BACKSPACE * 7, "-bakery", ENTER)
    accept(terminal, others)
    assert terminal.wait_for_end() == 0
    assert "Traceback" not in terminal.text()
    assert answers_of(tmp_path / "shop")["project_slug"] == "acme-bakery"


@pytest.mark.slow
def test_the_readme_shows_the_dialogue_as_it_is(template: Path, tmp_path: Path) -> None:
    [shown] = BLOCK.findall(README.read_text(encoding="utf-8"))
    recorded = record(template, tmp_path)
    assert shown == recorded, "run `uv run just record`"
    assert all(len(line) <= 79 for line in recorded.splitlines())
