"""The manifest says which files of the chassis were edited."""

from pathlib import Path

import pytest

from chassis.dev import manifest

EDITED = "The chassis was edited ({}): run `just conformance` as well."


@pytest.fixture
def chassis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's chassis, as it was released."""
    monkeypatch.setattr(manifest, "project_folder", lambda: tmp_path)
    chassis = tmp_path / "chassis"
    for name in (*manifest.FILES, "src/chassis/errors.py", "src/chassis/py.typed", "tests/test_errors.py"):
        (chassis / name).parent.mkdir(parents=True, exist_ok=True)
        (chassis / name).write_bytes(f"{name}\n".encode())
    (chassis / manifest.NAME).write_text(manifest.written(chassis), encoding="utf-8")
    return chassis


def test_each_file_has_a_line_with_its_hash(chassis: Path) -> None:
    lines = (chassis / manifest.NAME).read_text().splitlines()
    names = [line.split("  ")[1] for line in lines]
    assert names == sorted([*manifest.FILES, "src/chassis/errors.py", "src/chassis/py.typed", "tests/test_errors.py"])
    assert all(len(line.split("  ")[0]) == 64 for line in lines)


def test_what_is_as_released_is_not_named(chassis: Path) -> None:
    assert manifest.edited(chassis) == []
    assert manifest.report() == "The chassis is unmodified."


def test_a_file_that_was_edited_is_named(chassis: Path) -> None:
    (chassis / "src/chassis/errors.py").write_bytes(b"other\n")
    assert manifest.edited(chassis) == ["src/chassis/errors.py"]
    assert manifest.report() == EDITED.format("src/chassis/errors.py")


def test_a_file_that_was_added_is_named(chassis: Path) -> None:
    (chassis / "tests/test_more.py").touch()
    assert manifest.edited(chassis) == ["tests/test_more.py"]


@pytest.mark.parametrize("name", ["tests/test_errors.py", "pyproject.toml"])
def test_a_file_that_was_removed_is_named(chassis: Path, name: str) -> None:
    (chassis / name).unlink()
    assert manifest.edited(chassis) == [name]
    assert manifest.report() == EDITED.format(name)


def test_other_line_endings_are_no_edit(chassis: Path) -> None:
    for name in manifest.hashes_of(chassis):
        file = chassis / name
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    (chassis / manifest.NAME).write_bytes((chassis / manifest.NAME).read_bytes().replace(b"\n", b"\r\n"))
    assert manifest.edited(chassis) == []


@pytest.mark.parametrize("name", ["src/chassis/__pycache__/errors.pyc", "src/errors.pyc", ".venv/bin/python"])
def test_what_is_made_beside_the_sources_is_no_edit(chassis: Path, name: str) -> None:
    (chassis / name).parent.mkdir(parents=True, exist_ok=True)
    (chassis / name).touch()
    assert manifest.edited(chassis) == []


def test_the_report_names_five_files_and_counts_the_others(chassis: Path) -> None:
    for number in range(7):
        (chassis / "src" / f"{number}.py").touch()
    assert manifest.report() == EDITED.format("src/0.py, src/1.py, src/2.py, src/3.py, src/4.py and 2 more")


def test_a_project_without_the_folder_has_an_installed_chassis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "project_folder", lambda: tmp_path)
    assert manifest.report() == "The chassis is an installed package."
