"""The benchmark prints every comparison, and compares equal results."""

import subprocess
import sys
from pathlib import Path

import pytest
from bench import COMPARISONS, Bench
from conftest import ROOT, text_files

pytestmark = pytest.mark.slow


def test_each_row_is_printed() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "bench.py"), "--rounds", "1"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split("  ")[0] for line in printed[1:]]
    assert rows[:6] == [
        *("trivial copy", "copy", "trivial copy from a folder", "copy from a folder", "cookiecutter", "update")
    ]
    assert rows[6:] == [f"{name} / {other}" for name, other, _ in COMPARISONS]
    assert all(" x " in line for line in printed[7:])


def test_cookiecutter_writes_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench")
    command, folder = bench.jobs()["cookiecutter"](tmp_path)
    bench.run(command, folder)
    written = {str(path.relative_to(tmp_path / "acme-shop")): path for path in text_files(tmp_path / "acme-shop")}
    ours = [path for path in text_files(bench.project) if ".git" not in path.parts]
    assert written.keys() == {str(path.relative_to(bench.project)) for path in ours}
    for path in ours:
        assert written[str(path.relative_to(bench.project))].read_bytes() == path.read_bytes(), path
    rendered = (bench.cookie / "{{cookiecutter.project_slug}}" / "README.md").read_text()
    assert "{{ cookiecutter.project_name }}" in rendered


def test_the_update_brings_the_second_release(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench")
    command, folder = bench.jobs()["update"](tmp_path)
    bench.run(command, folder)
    assert (folder / "docs" / "news.md").exists()
    assert (folder / "justfile").read_text().endswith("# changed\n")
