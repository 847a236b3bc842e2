"""Renders the template in process, from a plain copy of its files as they are now, or from its releases."""

import re
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from types import CodeType
from typing import Any

import copier
import pytest
from copier._jinja_ext import SandboxedEnvironment
from copier._main import Worker
from jinja2 import Environment
from releases import ROOT, add_working_tree, build_repository, commit, earlier_releases, git
from render import copy_template

__all__ = ["ROOT"]

type Render = Callable[..., Path]


def text_files(project: Path) -> list[Path]:
    """List the files of a project that the template wrote."""
    beside = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".import_linter_cache"}
    return sorted(path for path in project.rglob("*") if path.is_file() and beside.isdisjoint(path.parts))


@pytest.fixture(scope="session", autouse=True)
def _few_processes() -> Generator[None]:
    """Spare the `git config` that Copier starts for each file it writes, to learn that git sees modes by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "_sync_git_index_executable_bit", lambda *_: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _few_compilations() -> Generator[None]:
    """Spare Jinja the compilation of what it has compiled, half of its time: Copier asks for each part of each path."""
    compiled: dict[tuple[object, ...], CodeType] = {}

    def compile_once(
        environment: Environment, source: str, name: str | None = None, filename: str | None = None
    ) -> CodeType:
        key = (environment.lexer, source, name)
        if key not in compiled:
            compiled[key] = Environment.compile(environment, source, name, filename)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SandboxedEnvironment, "compile", compile_once)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_template(tmp_path_factory.mktemp("template"))


def _renderer(template: Path, folder: Path) -> Render:
    def render_project(**answers: Any) -> Path:  # noqa: ANN401  # answers have many types
        target = folder / str(answers.get("project_slug", "acme-shop"))
        copier.run_copy(str(template), target, data=answers, defaults=True, quiet=True)
        return target

    return render_project


@pytest.fixture
def render(template: Path, tmp_path: Path) -> Render:
    """Render a project with these answers, defaults for the rest, into a folder named after its slug."""
    return _renderer(template, tmp_path)


@pytest.fixture(scope="session")
def service_template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template without the chassis, whose files are the same in every project: it renders in half the time."""
    target = tmp_path_factory.mktemp("service") / "template"
    shutil.copytree(template, target, ignore=shutil.ignore_patterns("chassis"))
    return target


@pytest.fixture
def render_service(service_template: Path, tmp_path: Path) -> Render:
    """Render as `render` does, without the chassis."""
    return _renderer(service_template, tmp_path)


@pytest.fixture(scope="session")
def default_project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the default answers, for tests that only read it."""
    target = tmp_path_factory.mktemp("default") / "acme-shop"
    copier.run_copy(str(template), target, defaults=True, quiet=True)
    return target


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's releases in a repository, the working tree as the last; for tests that only read it."""
    repository = build_repository(tmp_path_factory.mktemp("released") / "template", earlier_releases())
    add_working_tree(repository)
    return repository


@pytest.fixture(scope="session")
def released_service(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The newest release without the code of the chassis, which no answer changes; for tests that only read it."""
    repository = tmp_path_factory.mktemp("released-service") / "template"
    git(repository.parent, "clone", "--quiet", str(released), str(repository))
    for folder in ("src", "tests"):
        shutil.rmtree(repository / "template" / "chassis" / folder)
    commit(repository, "Leave out the chassis", "v99.0.0")
    return repository


@pytest.fixture
def repository(released: Path, tmp_path: Path) -> Path:
    """The template's releases, in a repository of this test's own."""
    git(tmp_path, "clone", "--quiet", str(released), "template-repository")
    return tmp_path / "template-repository"


def source_of(project: Path) -> Path:
    """Find the package of a project."""
    [package] = (project / "src").iterdir()
    assert re.fullmatch(r"[a-z0-9_]+", package.name)
    return package


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the conflicts that the updates of edited projects came to."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}, {value}")
