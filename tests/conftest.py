"""Renders the template in process, from a plain copy of its files as they are now."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
from render import copy_template

ROOT = Path(__file__).resolve().parent.parent

type Render = Callable[..., Path]


def text_files(project: Path) -> list[Path]:
    """List the files of a project that the template wrote."""
    return sorted(path for path in project.rglob("*") if path.is_file() and ".venv" not in path.parts)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def render(template: Path, tmp_path: Path) -> Render:
    """Render a project with these answers, defaults for the rest, into a folder named after its slug."""

    def render_project(**answers: Any) -> Path:  # noqa: ANN401  # answers have many types
        target = tmp_path / str(answers.get("project_slug", "acme-shop"))
        copier.run_copy(str(template), target, data=answers, defaults=True, quiet=True)
        return target

    return render_project


@pytest.fixture(scope="session")
def default_project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the default answers, for tests that only read it."""
    target = tmp_path_factory.mktemp("default") / "acme-shop"
    copier.run_copy(str(template), target, defaults=True, quiet=True)
    return target


def source_of(project: Path) -> Path:
    """Find the package of a project."""
    [package] = (project / "src").iterdir()
    assert re.fullmatch(r"[a-z0-9_]+", package.name)
    return package
