"""`copier copy` on a machine that has only Python and git."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import text_files

COPIER = Path(sys.executable).with_name("copier")


def copy(template: Path, target: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `copier copy` without git configuration and network proxy, with only git on the path."""
    environment = {"HOME": str(target.parent), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    command = [str(COPIER), "copy", "--defaults", *arguments, str(template), str(target)]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


def test_the_defaults_are_copied_without_trust_and_the_next_commands_are_shown(
    template: Path, default_project: Path, tmp_path: Path
) -> None:
    done = copy(template, tmp_path / "acme-shop")
    assert done.returncode == 0, done.stderr
    for line in ("git init", "uv run just setup", "git commit", "uv run just dev"):
        assert line in done.stderr
    written = {path.relative_to(tmp_path / "acme-shop") for path in text_files(tmp_path / "acme-shop")}
    assert written == {path.relative_to(default_project) for path in text_files(default_project)}


def test_a_relative_address_of_the_template_is_called_so_at_once(template: Path, tmp_path: Path) -> None:
    relative = Path(os.path.relpath(template))
    done = copy(relative, tmp_path / "shop")
    assert f"write the absolute path of the template for `_src_path: {relative}`" in done.stderr
    assert "_src_path" not in copy(template, tmp_path / "other").stderr


def test_an_invalid_answer_is_reported_with_its_question_and_reason(template: Path, tmp_path: Path) -> None:
    done = copy(template, tmp_path / "shop", "--data", "project_slug=../evil")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith("question 'project_slug': Use a-z, 0-9 and single hyphens")
    assert not (tmp_path / "shop").exists()
    assert not (tmp_path / "evil").exists()


@pytest.mark.slow
def test_a_project_in_a_folder_with_a_space_is_created(template: Path, tmp_path: Path) -> None:
    done = copy(template, tmp_path / "my projects" / "acme shop")
    assert done.returncode == 0
    assert f"cd '{tmp_path}/my projects/acme shop'" in done.stderr
