"""Times copying and updating a project, compared with a trivial template and with Cookiecutter."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from render import copy_template

type Seconds = dict[str, list[float]]
# Given an empty folder, a job returns the command to time and the folder to run it in.
type Job = Callable[[Path], tuple[list[str], Path]]

PROGRAMS = Path(sys.executable).parent
CHANGED = (".editorconfig", ".gitattributes", ".gitignore", "Dockerfile.jinja", "justfile.jinja")
COMPARISONS = [
    ("copy", "trivial copy", "at most 1.7"),
    ("copy from a folder", "trivial copy from a folder", "at most 1.7"),
    ("copy", "cookiecutter", "none"),
    ("update", "trivial copy", "at most 4"),
    ("update", "copy", "at most 4"),
]


class Bench:
    """The templates and projects of the jobs, created once in a folder that is also HOME."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = os.environ.get("PATH", os.defpath)
        self.environment = {"HOME": str(folder), "PATH": path, "GIT_CONFIG_NOSYSTEM": "1"}
        (folder / ".gitconfig").write_text("[user]\nname = Bench\nemail = bench@example.org\n")
        self.trivial = self.make_trivial()
        self.template = self.make_template()
        self.project = self.make_project()
        self.cookie = self.make_cookie()

    def run(self, command: list[str], folder: Path) -> None:
        done = subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")

    def commit(self, folder: Path, tag: str) -> None:
        if not (folder / ".git").exists():
            self.run(["git", "init", "--quiet"], folder)
        self.run(["git", "add", "--all"], folder)
        self.run(["git", "commit", "--quiet", "--message", tag], folder)
        self.run(["git", "tag", tag], folder)

    def make_trivial(self) -> Path:
        """Create a template with one question and one file."""
        template = self.folder / "trivial"
        template.mkdir()
        (template / "copier.yml").write_text("name: World\n")
        (template / "hello.txt.jinja").write_text("Hello {{ name }}\n")
        self.commit(template, "v1")
        return template

    def make_template(self) -> Path:
        """Create two releases of the working tree; the second changes some files and adds one."""
        template = copy_template(self.folder / "ours")
        self.commit(template, "v1")
        for name in CHANGED:
            with (template / "template" / name).open("a") as file:
                file.write("# changed\n")
        (template / "template" / "docs" / "news.md").write_text("# News\n")
        self.commit(template, "v2")
        return template

    def make_project(self) -> Path:
        project = self.folder / "project"
        first = [*copier("copy"), "--vcs-ref", "v1", str(self.template), str(project)]
        self.run(first, self.folder)
        self.commit(project, "start")
        return project

    def make_cookie(self) -> Path:
        """Create a Cookiecutter template of the project's files; those that contain braces are not rendered."""
        template = self.folder / "cookie"
        files = template / "{{cookiecutter.project_slug}}"
        shutil.copytree(self.project, files, ignore=shutil.ignore_patterns(".git"))
        copied = []
        for path in (path for path in files.rglob("*") if path.is_file()):
            text = path.read_text(encoding="utf-8")
            if re.search(r"\{[{%#]", text):
                copied.append(str(path.relative_to(files)))
            else:
                path.write_text(text.replace("Acme Shop", "{{ cookiecutter.project_name }}"), encoding="utf-8")
        questions = {"project_name": "Acme Shop", "project_slug": "acme-shop", "_copy_without_render": copied}
        (template / "cookiecutter.json").write_text(json.dumps(questions))
        return template

    def jobs(self) -> dict[str, Job]:
        """Return what is timed. Templates are git repositories, as in practice, unless the name says folder."""
        return {
            "trivial copy": self.copy(self.trivial),
            "copy": self.copy(self.template),
            "trivial copy from a folder": self.copy(self.without_history(self.trivial)),
            "copy from a folder": self.copy(self.without_history(self.template)),
            "cookiecutter": lambda fresh: ([str(PROGRAMS / "cookiecutter"), "--no-input", str(self.cookie)], fresh),
            "update": self.update,
        }

    def without_history(self, template: Path) -> Path:
        return shutil.copytree(template, template.with_suffix(".folder"), ignore=shutil.ignore_patterns(".git"))

    def copy(self, template: Path) -> Job:
        return lambda fresh: ([*copier("copy"), str(template), "out"], fresh)

    def update(self, fresh: Path) -> tuple[list[str], Path]:
        self.run(["git", "clone", "--quiet", str(self.project), "out"], fresh)
        return copier("update"), fresh / "out"


def copier(command: str) -> list[str]:
    return [str(PROGRAMS / "copier"), command, "--defaults"]


def measure(bench: Bench, rounds: int) -> Seconds:
    """Time the jobs in turn in each round, so that a busy machine slows down all of them."""
    jobs = bench.jobs()
    seconds: Seconds = {name: [] for name in jobs}
    for count in range(rounds + 1):
        for name, job in jobs.items():
            with tempfile.TemporaryDirectory(dir=bench.folder) as fresh:
                command, folder = job(Path(fresh))
                started = time.perf_counter()
                bench.run(command, folder)
                if count:  # the first round warms up
                    seconds[name].append(time.perf_counter() - started)
    return seconds


def report(seconds: Seconds) -> None:
    print(f"{'':47} {'median':>8} {'min':>8} {'max':>8}  goal")
    for name, times in seconds.items():
        print(f"{name:47} {median(times):6.2f} s {min(times):6.2f} s {max(times):6.2f} s")
    for name, other, goal in COMPARISONS:
        each = [ours / theirs for ours, theirs in zip(seconds[name], seconds[other], strict=True)]
        ratio = median(seconds[name]) / median(seconds[other])
        print(f"{name + ' / ' + other:47} {ratio:6.2f} x {min(each):6.2f} x {max(each):6.2f} x  {goal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds after the warm-up")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(measure(Bench(Path(folder)), options.rounds))


if __name__ == "__main__":
    main()
