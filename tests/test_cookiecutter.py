"""Cookiecutter creates the same project as `copier copy` with the same answers, or fails and leaves nothing."""

import json
import os
import pty
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cookiecutter.hooks
import copier
import pexpect
import pytest
import yaml
from conftest import ROOT
from cookiecutter.exceptions import FailedHookException
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter as run_cookiecutter
from cookiecutter.prompt import prompt_for_config
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import Environment
from pexpect.fdpexpect import fdspawn
from pytest_cookies.plugin import Cookies
from releases import commit, current_version, git
from render import copy_template
from test_hostile import COMPUTED, FREE, HARMLESS, TEXTS, in_threes, without_plain_files
from test_questions import QUESTIONS
from test_render import PAIRS
from test_update import release

# Cookiecutter uses an argument that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`onerror` argument is deprecated:DeprecationWarning")

PLACEHOLDER = "{cookiecutter{cookiecutter.__folder}}"
BIN = Path(sys.executable).parent
COMMANDS = ("uvx --with copier cookiecutter REPOSITORY", "uvx copier copy REPOSITORY FOLDER")
# One of each kind for Jinja, JSON and Python; the slow tests use all texts of test_hostile.py.
HOSTILE_TEXTS = [
    "'''\"\"\" \\' \\",
    "\\u0000 \\x00 \\N{BULLET}",
    '"; import os #',
    "{{ 7*7 }} {% raw %} {# no #} {{ undefined_name",
    "עברית 👩‍💻 ﷽",
    "[bold]x[/bold]",
    "a\0b",
    "a\nb",
    "a\rb",
    "a\u202eb",
    "a\udcffb",
    "a\tb",
]

type Tree = dict[str, tuple[int, bytes]]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files and caches, outside of the home folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("COPIER_CACHE_DIR", str(folder / "copier"))
    return folder


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the template for both programs, without the files that are copied as they are."""
    return without_plain_files(copy_doors(tmp_path_factory.mktemp("doors") / "template"))


def copy_doors(target: Path) -> Path:
    copy_template(target)
    shutil.copy(ROOT / "cookiecutter.json", target)
    for folder in ("hooks", PLACEHOLDER):
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.fixture
def address(repository: Path) -> str:
    """The URL of the git repository with the releases."""
    return f"git+file://{repository}"


def tree(project: Path) -> Tree:
    return {
        str(path.relative_to(project)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in project.rglob("*")
    }


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "dumb", "COLUMNS": "200", "PYTHONUTF8": "1"} | {
        "TMPDIR": tempfile.gettempdir(),
        "PWD": str(home),
    }


def command(folder: Path, *words: str | Path, program: Path = BIN, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command of an environment in a folder that is also HOME."""
    arguments = [str(program / words[0]), *map(str, words[1:])]
    environ = environment(folder) | extra
    return subprocess.run(arguments, cwd=folder, env=environ, check=False, capture_output=True, text=True)


def as_cookiecutter(answers: dict[str, Any]) -> dict[str, Any]:
    """Rename answers to the names that Cookiecutter uses."""
    return {name if QUESTIONS[name].get("ask", True) else f"_{name}": value for name, value in answers.items()}


def with_copier(template: str | Path, target: Path, answers: dict[str, Any]) -> Tree:
    copier.run_copy(str(template), target, data=answers, defaults=True, quiet=True)
    return tree(target)


def folders(folder: Path) -> set[str]:
    """Return the names in the folder of a test, except those that the test created."""
    own = {"temporary", "cookies", "template-repository", "copied", ".cookiecutters", ".cookiecutter_replay", ".cache"}
    return {path.name for path in folder.iterdir()} - own


def run_here(script: str, cwd: Path | str = ".") -> None:
    with chdir(cwd):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise FailedHookException(str(end.code)) from end


@pytest.fixture
def hooks_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the rendered hooks in this process, which saves starting Python and importing Copier for each."""
    monkeypatch.setattr(cookiecutter.hooks, "run_script", run_here)


# The files


@pytest.mark.slow
@pytest.mark.usefixtures("hooks_in_this_process")
@pytest.mark.parametrize("answers", [{}, *PAIRS], ids=lambda answers: "-".join(str(v)[:10] for v in answers.values()))
def test_both_programs_create_the_same_project(
    cookies: Cookies, door: Path, tmp_path: Path, answers: dict[str, Any]
) -> None:
    baked = cookies.bake(template=str(door), extra_context=as_cookiecutter(answers))
    assert baked.exception is None
    assert baked.project_path.name == answers.get("project_slug", "acme-shop")
    assert tree(baked.project_path) == with_copier(door, tmp_path / "copied", answers)


def test_the_pairs_are_at_least_ten() -> None:
    assert len(PAIRS) >= 10


def test_answers_of_the_command_line_are_used_and_the_next_commands_are_shown(door: Path, tmp_path: Path) -> None:
    words = ["project_name=My 'Shop' {{ 7*7 }}", "ci=none", "example=no", "_license=MIT", "_package_name=shop"]
    done = command(tmp_path, "cookiecutter", door, "--no-input", "--output-dir", "out/there", *words)
    assert done.returncode == 0, done.stderr
    for line in ("cd " + str(tmp_path / "out/there/my-shop-7-7"), "git init", "uv run just setup", "uv run just dev"):
        assert line in done.stderr
    answers = {"project_name": "My 'Shop' {{ 7*7 }}", "ci": "none", "example": False, "license": "MIT"}
    expected = with_copier(door, tmp_path / "copied", answers | {"package_name": "shop"})
    assert tree(tmp_path / "out/there/my-shop-7-7") == expected


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--output-dir", "elsewhere")])
def test_a_relative_folder_is_taken_from_where_cookiecutter_was_started(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    copy_doors(tmp_path / "template-repository")
    done = command(tmp_path, "cookiecutter", "./template-repository/", "--no-input", *options)
    assert done.returncode == 0, done.stderr
    assert command(tmp_path, "copier", "copy", "--defaults", "./template-repository/", "copied").returncode == 0
    assert tree(tmp_path.joinpath(*options[1:]) / "acme-shop") == tree(tmp_path / "copied")


# Versions


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["git+file://", ""])
def test_a_project_from_a_git_repository_is_the_same_and_takes_the_next_release(
    repository: Path, tmp_path: Path, prefix: str
) -> None:
    address = f"{prefix}{repository}"
    assert command(tmp_path, "cookiecutter", address, "--no-input").returncode == 0
    assert command(tmp_path, "copier", "copy", "--defaults", address, "copied").returncode == 0
    project = tmp_path / "acme-shop"
    assert tree(project) == tree(tmp_path / "copied")
    recorded = (project / ".copier-answers.yml").read_text(encoding="utf-8")
    assert f"_commit: v{current_version()}\n_src_path: {address}\n" in recorded

    git(project, "init", "--quiet")
    commit(project, "Start the project")
    release(repository)
    done = command(project, "copier", "update", "--defaults", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "_commit: v99.0.0" in (project / ".copier-answers.yml").read_text(encoding="utf-8")
    assert (project / "chassis/src/chassis/ops/_clock.py").exists()


@pytest.mark.slow
def test_the_newest_release_is_rendered_and_an_older_one_when_it_is_named(
    repository: Path, address: str, tmp_path: Path
) -> None:
    release(repository)
    older = f"v{current_version()}"
    for options, tag in [((), "v99.0.0"), (("--checkout", older), older)]:
        shutil.rmtree(tmp_path / "acme-shop", ignore_errors=True)
        assert command(tmp_path, "cookiecutter", address, "--no-input", *options).returncode == 0
        assert f"_commit: {tag}\n" in (tmp_path / "acme-shop/.copier-answers.yml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_question_that_the_release_does_not_ask_is_reported(repository: Path, address: str, tmp_path: Path) -> None:
    """Cookiecutter asks the questions of the newest commit, and Copier renders the newest release."""
    release = f"v{current_version()}"
    context = json.loads((repository / "cookiecutter.json").read_text(encoding="utf-8"))
    (repository / "cookiecutter.json").write_text(json.dumps({"new_question": "x", **context}), encoding="utf-8")
    commit(repository, "Ask more")
    done = command(tmp_path, "cookiecutter", address, "--no-input")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"Release {release} has no question new_question.")
    assert f"--checkout {release}" in last
    assert folders(tmp_path) == set()
    assert command(tmp_path, "cookiecutter", address, "--no-input", "--checkout", release).returncode == 0


def test_a_zip_file_is_refused(door: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "temporary/template"), "zip", door.parent, door.name)
    done = command(tmp_path, "cookiecutter", archive, "--no-input")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("use a folder, or a URL that begins with git+")
    assert folders(tmp_path) == set()


# Asking


@contextmanager
def terminal(folder: Path, *words: str | Path) -> Iterator[tuple[Any, subprocess.Popen[bytes]]]:
    """Start a command in a terminal; with subprocess, as a fork of a process with threads warns."""
    ours, theirs = pty.openpty()
    arguments = [str(BIN / words[0]), *map(str, words[1:])]
    with subprocess.Popen(
        arguments, cwd=folder, env=environment(folder), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        screen = fdspawn(ours, timeout=30, encoding="utf-8")
        yield screen, process
        screen.close()


def converse(folder: Path, template: Path, typed: dict[str, str]) -> tuple[int, str]:
    """Type these answers, press Enter at the other questions, and return the exit status and the output."""
    asked = [name for name, question in QUESTIONS.items() if question.get("ask", True)]
    said = ""
    with terminal(folder, "cookiecutter", template) as (screen, process):
        for number, name in enumerate(asked, start=1):
            screen.expect_exact(f"[{number}/{len(asked)}] {QUESTIONS[name]['help']}")
            screen.expect(r"\): ")
            said += screen.before
            screen.sendline(typed.get(name, ""))
        screen.expect(pexpect.EOF)
        return process.wait(), said + screen.before


def test_enter_at_every_question_gives_the_defaults(door: Path, tmp_path: Path) -> None:
    status, said = converse(tmp_path, door, {})
    assert status == 0, said
    assert "(acme-shop" in said
    assert "1 - GitHub Actions" in said
    assert "2 - None" in said
    assert tree(tmp_path / "acme-shop") == with_copier(door, tmp_path / "copied", {})


def test_typed_answers_are_used_unchanged(door: Path, tmp_path: Path) -> None:
    name = "Tïny \"Shop\" {{ 7*7 }} 'x' \\ 👩‍💻"
    status, said = converse(tmp_path, door, {"project_name": name, "ci": "2", "example": "n"})
    assert status == 0, said
    assert "(t-ny-shop-7-7-x" in said
    expected = with_copier(door, tmp_path / "copied", {"project_name": name, "ci": "none", "example": False})
    assert tree(tmp_path / "t-ny-shop-7-7-x") == expected


@pytest.mark.parametrize("slug", ["../evil", "json", "Shop"])
def test_an_invalid_answer_is_reported_with_its_question_and_leaves_nothing(
    door: Path, tmp_path: Path, slug: str
) -> None:
    status, said = converse(tmp_path, door, {"project_slug": slug})
    assert status == 1
    assert "Validation error for question 'project_slug': " in said
    assert folders(tmp_path) == set()
    assert not (tmp_path.parent / "evil").exists()


def test_the_last_line_of_an_error_is_the_question_and_the_reason(door: Path, tmp_path: Path) -> None:
    done = command(tmp_path, "cookiecutter", door, "--no-input", "_python_version=3.11")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "Invalid choice for 'python_version': '3.11' is not in ['3.12', '3.13', '3.14']"
    )
    assert "Traceback" not in done.stderr
    assert folders(tmp_path) == set()


# Hostile answers


def compare(door: Path, answers: dict[str, Any]) -> bool:
    """Check that both programs accept or both reject these answers, and return whether they were accepted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "out").mkdir()
        places = {"cookiecutters_dir": str(folder / "templates"), "replay_dir": str(folder / "replay")}
        (folder / "configuration.yml").write_text(yaml.safe_dump(places), encoding="utf-8")
        try:
            project = run_cookiecutter(
                str(door),
                no_input=True,
                extra_context=as_cookiecutter(answers),
                output_dir=str(folder / "out"),
                config_file=str(folder / "configuration.yml"),
            )
        except FailedHookException as error:
            said = str(error)
        else:
            assert tree(Path(project)) == with_copier(door, folder / "copied", answers)
            return True
        assert {path.name for path in folder.iterdir()} == {"configuration.yml", "out", "replay"}
        assert list((folder / "out").iterdir()) == []
        with pytest.raises(ValueError, match=re.escape(said)):
            with_copier(door, folder / "copied", answers)
        assert re.fullmatch(r"Validation error for question '\w+': .{1,40}", said)
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("hooks_in_this_process")
@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_a_hostile_answer_is_refused_or_stays_text(door: Path, text: str) -> None:
    taken = compare(door, dict.fromkeys(FREE, text) | {"project_slug": "shop", "license": "MIT"})
    assert taken == text.replace("\u200d", "").isprintable()


@pytest.mark.usefixtures("hooks_in_this_process")
@pytest.mark.parametrize("slug", ["evil/deeper", "../evil/deeper", "..", ".", "", "a\0b", "x" * 300, "Shop"], ids=ascii)
def test_a_refused_slug_makes_no_folder_that_stays(door: Path, slug: str) -> None:
    assert not compare(door, {"project_slug": slug})


def test_jinja_of_cookiecutter_is_refused_and_not_rendered(door: Path, tmp_path: Path) -> None:
    words = ("project_name={cookiecutter{ 7*7 }}", "project_slug={cookiecutter# x #}")
    for word in words:
        done = command(tmp_path, "cookiecutter", door, "--no-input", word)
        assert done.returncode == 1
        question = word.partition("=")[0]
        assert done.stderr.splitlines()[-1] == f"Validation error for question '{question}': Remove {{cookiecutter"
        assert folders(tmp_path) == set()


@pytest.mark.slow
@pytest.mark.usefixtures("hooks_in_this_process")
@pytest.mark.parametrize("texts", in_threes(TEXTS), ids=lambda texts: ascii(list(texts.values())))
def test_no_text_is_accepted_by_one_program_only(door: Path, texts: dict[str, str]) -> None:
    compare(door, HARMLESS | texts | {"project_slug": "shop", "license": "MIT"})


@pytest.mark.slow
@pytest.mark.usefixtures("hooks_in_this_process")
@pytest.mark.parametrize("question", COMPUTED)
def test_no_name_is_accepted_by_one_program_only(door: Path, question: str) -> None:
    """The slug is tried with every text, as Cookiecutter creates a folder from it; the others with one in five."""
    texts = TEXTS if question == "project_slug" else TEXTS[::5]
    taken = {text for text in texts if compare(door, {question: text})}
    assert taken <= {"", "yes", "no", "on", "off", "null", "nan"}


@pytest.mark.slow
@pytest.mark.usefixtures("hooks_in_this_process")
@settings(deadline=None, derandomize=True, max_examples=50)
@given(texts=st.fixed_dictionaries(dict.fromkeys(FREE, st.text(st.characters(), max_size=120))))
def test_any_unicode_text_is_accepted_or_rejected_by_both_programs(door: Path, texts: dict[str, str]) -> None:
    compare(door, texts | {"project_slug": "shop"})


# The slug


@cache
def copiers_jinja(door: Path) -> Environment:
    return copier.run_copy(str(door), "unwritten", defaults=True, quiet=True, pretend=True).jinja_env


@settings(deadline=None, derandomize=True, max_examples=300)
@example(name="x" * 100)
@example(name="a" * 62 + " b")
@example(name="3D Printing & Co.")
@example(name="İstanbul 日本")
@given(name=st.text(max_size=120) | st.from_regex(r"[A-Za-z0-9İé .,&{%#}_-]{1,100}", fullmatch=True))
def test_cookiecutter_computes_the_same_slug_as_copier(door: Path, name: str) -> None:
    context = generate_context(str(door / "cookiecutter.json"), extra_context={"project_name": name})
    offered = prompt_for_config(context, no_input=True)
    assert offered["project_name"] == re.sub(r"\r\n?", "\n", name)
    default = copiers_jinja(door).from_string(QUESTIONS["project_slug"]["default"])
    assert offered["project_slug"] == default.render(project_name=name)
    assert offered["__folder"] == offered["project_slug"]


# Hooks


@pytest.fixture(scope="session")
def without_copier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the packages of this one except Copier."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    ours, [theirs] = Path(copier.__file__).parent.parent, folder.glob("lib/python*/site-packages")
    for path in ours.iterdir():
        if not path.name.startswith("copier"):
            (theirs / path.name).symlink_to(path)
    return folder / "bin"


@pytest.mark.parametrize("installed", ["", "copier-9.18.2", "copier-9.0.0", "copier-8.100.100", "cookiecutter-2.5.0"])
def test_with_programs_that_are_missing_or_too_old_the_commands_that_install_them_are_shown(
    without_copier: Path, door: Path, tmp_path: Path, installed: str
) -> None:
    if installed:
        pretend_installed(tmp_path / "temporary", "copier-9.100.0")
        pretend_installed(tmp_path / "temporary", installed)
    words = ("python", "-m", "cookiecutter", door)
    done = command(tmp_path, *words, program=without_copier, PYTHONPATH=str(tmp_path / "temporary"))
    assert done.returncode == 1
    assert QUESTIONS["project_name"]["help"] not in done.stdout
    assert f"found {installed.partition('-')[2] or 'none'} in the environment of {without_copier}" in done.stderr
    assert tuple(line.strip() for line in done.stderr.splitlines()[-3:-1]) == COMMANDS
    assert folders(tmp_path) == set()


def pretend_installed(folder: Path, name_and_version: str) -> None:
    """Write the metadata of a program into a folder of the Python path."""
    name, _, version = name_and_version.partition("-")
    metadata = folder / f"{name}.dist-info/METADATA"
    metadata.parent.mkdir(exist_ok=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_the_oldest_copier_that_is_named_is_new_enough(without_copier: Path, tmp_path: Path) -> None:
    [oldest] = re.findall(r'_min_copier_version: "(.+)"', (ROOT / "copier.yml").read_text(encoding="utf-8"))
    for version in (oldest, "9.100.0", "10.0.0"):
        pretend_installed(tmp_path, f"copier-{version}")
        hook = (str(without_copier / "python"), str(ROOT / "hooks/pre_prompt.py"))
        subprocess.run(hook, cwd=ROOT, env={"PYTHONPATH": str(tmp_path)}, check=True)


@pytest.mark.parametrize("options", [(), ("--overwrite-if-exists",), ("-f", "--skip-if-file-exists")])
def test_a_folder_with_something_in_it_stays_as_it_is(door: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    existing = tmp_path / "acme-shop"
    existing.mkdir()
    (existing / "README.md").write_text("Mine.")
    (existing / "READ-ME-FIRST.md").write_text("Mine too.")
    before = tree(existing)
    done = command(tmp_path, "cookiecutter", door, "--no-input", *options)
    assert done.returncode == 1
    assert tree(existing) == before


def test_when_hooks_are_not_accepted_a_file_says_what_to_do(door: Path, tmp_path: Path) -> None:
    done = command(tmp_path, "cookiecutter", door, "--no-input", "--accept-hooks", "no")
    assert done.returncode == 0
    assert folders(tmp_path) == {"acme-shop"}
    [left] = (tmp_path / "acme-shop").iterdir()
    assert left.name == "READ-ME-FIRST.md"
    assert all(line in left.read_text(encoding="utf-8").splitlines() for line in COMMANDS)


def test_a_module_in_the_folder_for_temporary_files_is_not_imported(door: Path, tmp_path: Path) -> None:
    for name in ("json", "copier", "yaml", "filecmp", "typing"):
        (tmp_path / f"temporary/{name}.py").write_text("raise SystemExit('planted')\n")
    done = command(tmp_path, "cookiecutter", door, "--no-input")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_command_of_the_readme_works(door: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^(uvx --with copier cookiecutter) REPOSITORY$", readme, re.MULTILINE)
    shared = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([*line.split(), str(door), "--no-input"], cwd=tmp_path, env=shared, check=True)
    assert (tmp_path / "acme-shop/.copier-answers.yml").is_file()


# The bridge

type Bridge = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bridge() -> Bridge:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, str(ROOT / "scripts/cookiecutter_bridge.py"), *map(str, words)]
        return subprocess.run(script, check=False, capture_output=True, text=True)

    return run


def test_cookiecutter_asks_what_copier_asks(bridge: Bridge) -> None:
    done = bridge("--check")
    assert done.returncode == 0, done.stderr


def test_an_outdated_file_is_reported_and_rewritten(bridge: Bridge, door: Path, tmp_path: Path) -> None:
    stale = shutil.copytree(door, tmp_path / "stale")
    questions = (stale / "copier.yml").read_text(encoding="utf-8")
    (stale / "copier.yml").write_text(questions.replace("Acme Shop", "Other Shop"), encoding="utf-8")
    done = bridge("--check", "--template", stale)
    assert done.returncode == 1
    assert done.stderr == "cookiecutter.json does not match copier.yml: run `uv run just bridge`\n"
    assert bridge("--template", stale).returncode == 0
    assert bridge("--check", "--template", stale).returncode == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("  ask: false\n", "  when: false\n"), "package_name: Cookiecutter does not support when"),
        (("  type: bool\n", "  type: int\n"), "example: Cookiecutter does not support the type int"),
        (
            ("default: Acme\n", 'default: "{{ 1 }}"\n'),
            "user_name: a computed default must be one call of an imported macro",
        ),
        (
            ("import slug_of", "import none_of"),
            "project_slug: a computed default must be one call of an imported macro",
        ),
        (("help: Project name", "help: Project {{ 1 }}"), "project_name: Cookiecutter does not render prompts"),
    ],
)
def test_a_question_that_cookiecutter_cannot_ask_is_reported(
    bridge: Bridge, door: Path, tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    changed = shutil.copytree(door, tmp_path / "changed")
    questions = (changed / "copier.yml").read_text(encoding="utf-8")
    assert change[0] in questions
    (changed / "copier.yml").write_text(questions.replace(*change, 1), encoding="utf-8")
    done = bridge("--template", changed)
    assert done.returncode == 1
    assert done.stderr.startswith(f"copier.yml: {reason}")
