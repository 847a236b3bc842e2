"""The template as a git repository: its earlier releases from this history, and the working tree as the next one."""

import io
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")
HEADING = re.compile(r"^## (\d+\.\d+\.\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Release:
    """A version and the revision of this repository that holds it."""

    version: str
    revision: str


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str, tag: str | None = None) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    if tag:
        git(folder, "tag", tag)


def current_version() -> str:
    """Give the version that the working tree will be, the newest of its changelog."""
    return newest_version((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))


def newest_version(changelog: str) -> str:
    found = HEADING.search(changelog)
    assert found, "the changelog names no version"
    return found[1]


# Projects update from this release on; nothing before it was published.
FIRST = (0, 6, 0)


def earlier_releases() -> list[Release]:
    """Give the last release of each minor version from FIRST on, before the working tree's, oldest first."""
    revisions = _revisions()
    revisions.pop(current_version(), None)
    revisions |= {tag.removeprefix("v"): tag for tag in git(ROOT, "tag", "--list", "v*.*.*").split()}
    last_of_minor: dict[str, Release] = {}
    for version in sorted(revisions, key=_numbers):
        if FIRST <= _numbers(version) < _numbers(current_version()):
            last_of_minor[version.rpartition(".")[0]] = Release(version, revisions[version])
    return list(last_of_minor.values())


def _revisions() -> dict[str, str]:
    """Map each version of the changelog to the last commit before the next version began."""
    log = git(ROOT, "log", "--first-parent", "--reverse", "--format=%H", "HEAD").split()
    touched = set(git(ROOT, "log", "--first-parent", "--format=%H", "HEAD", "--", "CHANGELOG.md").split())
    revisions: dict[str, str] = {}
    version = ""
    for revision in log:
        if revision in touched:
            version = newest_version(git(ROOT, "show", f"{revision}:CHANGELOG.md"))
        if version:
            revisions[version] = revision
    return revisions


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def build_repository(folder: Path, releases: list[Release]) -> Path:
    """Make a repository with these releases, each tagged, and nothing of the working tree yet."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    for release in releases:
        _empty(folder)
        archive = subprocess.run(["git", "archive", release.revision], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        commit(folder, f"Release {release.version}", f"v{release.version}")
    return folder


def add_working_tree(folder: Path) -> None:
    """Release the files of this checkout as they are now, committed or not."""
    _empty(folder)
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    commit(folder, f"Release {current_version()}", f"v{current_version()}")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
