"""Projects that live: started from a release, worked on, updated, and what must be true of them afterwards."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import copier
import yaml
from conftest import text_files
from releases import commit, git


def start(repository: Path, project: Path, release: str | None = None, **answers: Any) -> Path:  # noqa: ANN401  # answers have many types
    """Generate a project from a release, the newest by default, and commit it, in a repository of its own if needed."""
    copier.run_copy(str(repository), project, data=answers, vcs_ref=release, defaults=True, quiet=True)
    if subprocess.run(["git", "rev-parse"], cwd=project.parent, check=False, capture_output=True).returncode:
        git(project, "init", "--quiet")
    commit(project, "Start the project")
    return project


def update(project: Path, **options: Any) -> None:  # noqa: ANN401  # as Copier's
    copier.run_update(project, defaults=True, overwrite=True, quiet=True, **options)


def change_answers(project: Path, **answers: Any) -> None:  # noqa: ANN401  # answers have many types
    """Stay at the release, with other answers, as `copier update --vcs-ref=:current:` does."""
    update(project, data=answers, vcs_ref=copier.VcsRef.CURRENT)


def attempt(project: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project as its user would."""
    hidden = {"DATABASE_URL", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | variables
    return subprocess.run(command, cwd=project, env=environment, check=False, capture_output=True, text=True)


def run(project: Path, *command: str, **variables: str) -> str:
    """Run a command that must succeed, and give what it printed."""
    done = attempt(project, *command, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(project: Path, fresh: Path) -> None:
    """Run a project's own check; its chassis is that of a new project."""
    assert chassis_of(project) == chassis_of(fresh)
    run(project, "uv", "run", "just", "check")


def chassis_of(project: Path) -> dict[str, tuple[int, bytes]]:
    return {name: content for name, content in tree(project).items() if name.startswith("chassis/")}


# A cluster outlives its project where it is kept beside it, and another project may come to be at the same path.
HOLD_DATABASE = """
import secrets
import sys
from chassis.dev.postgres import database
with database(secrets.token_hex(8)) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_database(project: Path) -> Iterator[str]:
    """Lend an empty database on the project's own embedded PostgreSQL, until the block ends."""
    command = ["uv", "run", "--quiet", "python", "-c", HOLD_DATABASE]
    with subprocess.Popen(command, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()


def answers_of(project: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    return recorded


def tree(project: Path) -> dict[str, tuple[int, bytes]]:
    """Map each file to its permissions and its bytes."""
    return {
        str(path.relative_to(project)): (path.stat().st_mode & 0o777, path.read_bytes()) for path in text_files(project)
    }


def conflicts_of(project: Path) -> list[str]:
    """List the files that git holds as unmerged, by their paths in the project."""
    return git(project, "diff", "--name-only", "--relative", "--diff-filter=U").split()


def check_that_work_is_kept(project: Path, last: str) -> list[str]:
    """See that an update kept the work from the start to the commit `last`, and answer which files conflict."""
    first = git(project, "log", "--format=%H", "--grep=^Start the project$").split()[-1]
    changed = _names(project, first, last, "AM")
    for name in changed:
        theirs = Counter(_added_lines(project, first, last, name))
        here = Counter((project / name).read_text(encoding="utf-8").split("\n"))
        assert theirs - here == Counter(), name
    for name in _names(project, first, last, "D"):
        assert not (project / name).exists(), name
    assert list(project.rglob("*.rej")) == []
    conflicts = conflicts_of(project)
    assert set(conflicts) <= set(changed)
    for path in text_files(project):
        marked = "<<<<<<< before updating" in path.read_text(encoding="utf-8").split("\n")
        assert marked == (str(path.relative_to(project)) in conflicts), path
    return conflicts


def _names(project: Path, first: str, last: str, kinds: str) -> list[str]:
    """List the files that were added (A), modified (M) or deleted (D) between two commits."""
    options = ("--name-only", "--no-renames", "--relative", f"--diff-filter={kinds}")
    return git(project, "diff", *options, first, last).split()


def _added_lines(project: Path, first: str, last: str, name: str) -> list[str]:
    diff = git(project, "diff", "--unified=0", "--no-renames", "--relative", first, last, "--", name)
    return [line[1:] for line in diff.split("\n") if line.startswith("+") and not line.startswith("+++ ")]
