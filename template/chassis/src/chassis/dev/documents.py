"""Documents that others build on, held equal to the code, and to the last release but for what is declared.

A break is declared by its line in CHANGELOG.md, as `check` prints it, written since that release.
"""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chassis.dev.breaking import Json
from chassis.dev.project import project_folder
from chassis.settings import StartError

CHANGELOG = "CHANGELOG.md"


class DocumentError(StartError):
    """The document differs from the code, or has an undeclared breaking change; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file that `recipe` writes from the code; `breaks` takes an earlier and a later form, and names each break."""

    file: str
    recipe: str
    reader: str
    written: Callable[[], str]
    breaks: Callable[[Json, Json], Sequence[str]]

    def write(self, *, anew: bool = True) -> None:
        """Write the document, or only where there is none."""
        if anew or not (project_folder() / self.file).exists():
            (project_folder() / self.file).write_text(self.written(), encoding="utf-8")

    def check(self) -> str:
        """Compare with the file and with the last release; answer what was compared. Raises DocumentError."""
        project = project_folder()
        file = project / self.file
        if not file.exists() or file.read_text(encoding="utf-8") != self.written():
            state = "not up to date with the code" if file.exists() else "missing"
            advice = f"type `uv run just {self.recipe}`, read the difference and commit it"
            raise DocumentError(f"{self.file} is {state}: {advice}")
        release = last_release(project)
        before = at(project, release, self.file)
        if not before:
            return f"{self.file} matches the code; there is no release yet to compare it with."
        broken = self.breaks(json.loads(before), json.loads(file.read_text(encoding="utf-8")))
        declared = declarations(project, release)
        if undeclared := [f"- Breaking: {each}" for each in broken if f"Breaking: {each}" not in declared]:
            advice = f"Take it back, or declare it with these lines in {CHANGELOG}:"
            raise DocumentError("\n".join([f"this breaks {self.reader}s of {release}. {advice}", *undeclared]))
        return f"{self.file} matches the code, and has no undeclared breaking change since {release}."


def declarations(project: Path, release: str) -> str:
    """Give the lines of the changelog that the release does not have: an earlier declaration does not count again."""
    file = project / CHANGELOG
    now = file.read_text(encoding="utf-8") if file.exists() else ""
    then = set(at(project, release, CHANGELOG).splitlines())
    return "\n".join(line for line in now.splitlines() if line not in then)


def last_release(project: Path) -> str:
    """Name the newest tag `v*` that this commit comes from, or nothing; a shallow clone has none."""
    return _git(project, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").strip()


def at(project: Path, release: str, name: str) -> str:
    """Read a file as it was in a release; nothing when there is no such release or file."""
    return _git(project, "show", f"{release}:./{name}") if release else ""


def _git(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=project, check=False, capture_output=True, text=True, encoding="utf-8"
    )
    return "" if done.returncode else done.stdout
