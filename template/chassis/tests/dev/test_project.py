"""The project is the nearest folder above whose pyproject.toml names a service, and the service is imported from it."""

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from chassis.dev import project
from chassis.dev.project import ProjectError

NAMES = '[tool.chassis]\nservice = "{}"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """The folder that a recipe runs in; the suite's own project is found anew after the test."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.chdir(tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    project.project_folder.cache_clear()
    project.service.cache_clear()


def name_service(folder: Path, module: str, source: str = "") -> None:
    (folder / "pyproject.toml").write_text(NAMES.format(module), encoding="utf-8")
    (folder / f"{module}.py").write_text(source, encoding="utf-8")


def test_the_nearest_folder_above_that_names_a_service_is_the_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_service(folder, "made")
    inner = folder / "packages" / "other"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text('[project]\nname = "other"\n', encoding="utf-8")
    monkeypatch.chdir(inner)
    assert project.project_folder() == folder


def test_a_folder_outside_of_a_project_is_refused(folder: Path) -> None:
    with pytest.raises(ProjectError, match=r"no pyproject\.toml in or above .* has `\[tool\.chassis\] service`"):
        project.project_folder()
    assert not (folder / "pyproject.toml").exists()


def test_the_service_is_imported_from_the_project(folder: Path) -> None:
    source = 'from chassis.runtime import Service\n\nservice = Service("made", title="Made", description="")\n'
    name_service(folder, "made_service", source)
    assert project.service().name == "made"
    assert project.service() is sys.modules["made_service"].service


@pytest.mark.parametrize(("module", "source"), [("made_empty", ""), ("made_wrong", 'service = "made"\n')])
def test_a_module_without_a_service_is_refused(folder: Path, module: str, source: str) -> None:
    name_service(folder, module, source)
    with pytest.raises(ProjectError, match=rf"{module} has no `service = Service\(\.\.\.\)`"):
        project.service()
