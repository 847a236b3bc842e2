"""The release workflow tags the newest version of the changelog, with its section as the notes, and none twice."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from releases import commit, git

CHANGELOG = "# Changelog\n\nIntroduction.\n\n## 1.1.0\n\n- New.\n\n## 1.0.0\n\n- First.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "--quiet")
    (repository / "CHANGELOG.md").write_text(CHANGELOG)
    commit(repository, "Begin", "v1.0.0")
    return repository


def release(repository: Path) -> subprocess.CompletedProcess[str]:
    """Run the workflow's step, with a `gh` that writes down what it is asked: GitHub itself cannot be had in a test."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    [step] = [step["run"] for step in workflow["jobs"]["release"]["steps"] if "run" in step]
    programs = repository.with_name("programs")
    programs.mkdir()
    (programs / "gh").write_text('#!/bin/sh\necho "$@"\ncat\n')
    (programs / "gh").chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "GITHUB_SHA": "abc"}
    command = ["bash", "-e", "-o", "pipefail", "-c", step]
    return subprocess.run(command, cwd=repository, env=environment, check=False, capture_output=True, text=True)


def test_the_newest_version_is_tagged_with_its_notes(repository: Path) -> None:
    done = release(repository)
    assert (done.returncode, done.stdout) == (
        0,
        "release create v1.1.0 --target abc --title 1.1.0 --notes-file -\n\n- New.\n\n",
    )


def test_a_version_is_released_once(repository: Path) -> None:
    git(repository, "tag", "v1.1.0")
    done = release(repository)
    assert done.returncode == 1
    assert done.stdout.endswith("v1.1.0 is released: begin the next version in CHANGELOG.md\n")
