"""Brings a newer release of the template into this project: `uv run just update`.

Copier does the work; here is what it leaves to its user: the checks before, and the account afterwards.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chassis.dev import manifest
from chassis.dev.project import project_folder

ANSWERS = ".copier-answers.yml"
COPIER = ("uvx", "--quiet", "--from", "copier>=9.19,<10", "copier")
# What Copier takes for an address, and git does not.
HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/", "git+": "", "~": str(Path.home())}
# What people may have set otherwise for themselves.
GIT = ("git", "-c", "color.ui=false", "-c", "core.quotePath=false", "-c", "status.branch=false")
# The same for Copier: a file that is ignored loses its edits, a hook that fails ends the update, and conflicts are not
# found where untracked files are not shown.
GIT_OF_COPIER = {
    "core.excludesFile": os.devnull,
    "core.hooksPath": os.devnull,
    "init.templateDir": "",
    "status.showUntrackedFiles": "all",
}
NEXT = "Next: `git add --all`, read `git diff --staged`, run `uv run just check`, commit."
UNDO = "Or take it back with `git reset --hard` and `git clean -fd`."
CONFLICTS = """\
## Conflicts

Both sides changed the same lines. Choose in each, and then `git add` it; no recipe runs before `pyproject.toml` and
`justfile` are resolved, and a resolved `pyproject.toml` asks for `uv lock`.
"""


PATCH = "chassis-edits.patch"
DOCUMENTS = {
    "openapi": "openapi.json",
    "messages": "messages.json",
    "asyncapi": "asyncapi.json",
    "slos": "ops/slos.toml",
}
EXAMPLE = ".env.example"
SETTING = r"^(?:# )?([A-Z][A-Z0-9_]*)="
LOST = """\
## Edits of the chassis

The release moved or removed files of the chassis that you had edited: {names}.
Your edits are in `{patch}`. Apply them where the code is now, or drop them; then delete the patch.
"""


class UpdateError(Exception):
    """The update cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Source:
    """Where the template is, and which of its releases this project has."""

    address: str
    release: str


@dataclass(frozen=True)
class Outcome:
    """What an update came to: an account in Markdown, and whether a person has to finish it."""

    account: str
    finished: bool


def main(arguments: Sequence[str]) -> None:
    """Update with these arguments of `copier update`; what a person has to finish is status 1, a refusal 2."""
    try:
        require_clean_tree()
        outcome = update(arguments)
    except UpdateError as error:
        print(f"update: {error}", file=sys.stderr)
        sys.exit(2)
    print(outcome.account)
    if outcome.finished and _changes():
        describe_anew()
    sys.exit(0 if outcome.finished else 1)


def require_clean_tree() -> None:
    """Raise UpdateError where git could not take the update back, since something is not committed."""
    if _git("rev-parse", "--quiet", "--verify", "HEAD").returncode:
        raise UpdateError("nothing is committed yet: type `git init`, `git add --all` and `git commit`, then again")
    if changed := _changes():
        listed = "\n".join(changed)
        raise UpdateError(f"commit these first, or put them aside with `git stash --include-untracked`:\n{listed}")


def update(arguments: Sequence[str]) -> Outcome:
    """Run Copier and lock what the release requires.

    Questions that a release adds are asked, or keep their default without a terminal.

    Raises UpdateError when Copier refuses.
    """
    before, edits, settings = source(), chassis_edits(), settings_in(EXAMPLE)
    copier(arguments)
    conflicts = _lines("diff", "--name-only", "--relative", "--diff-filter=U")
    conflicts += _lines("ls-files", "--others", "--", "*.rej")
    locked = not (project_folder() / "uv.lock").exists() or "pyproject.toml" in conflicts or _lock()
    lost = [name for name in edits if not (project_folder() / name).exists()]
    text = account(before, source(), conflicts, news_of_settings(settings), locked=locked)
    if lost:
        text += f"\n\n{LOST.format(patch=_save_patch(edits, lost), names=', '.join(lost))}"
    return Outcome(text, finished=locked and not conflicts and not lost)


def describe_anew() -> None:
    """Write the documents of the code as it is now, by processes that have not loaded what was there before."""
    for recipe in (name for name, file in DOCUMENTS.items() if (project_folder() / file).exists()):
        command = ["uv", "run", "--quiet", "just", "--quiet", recipe]
        if subprocess.run(command, cwd=project_folder(), check=False).returncode:
            print(f"Type `uv run just {recipe}` when what it says is resolved.")


def settings_in(name: str) -> set[str]:
    """Read the names of the variables that a file sets or shows."""
    file = project_folder() / name
    return set(re.findall(SETTING, file.read_text(encoding="utf-8"), re.MULTILINE)) if file.exists() else set()


def news_of_settings(before: set[str]) -> str:
    """Name the settings that are new, and those that are gone but still set in this project; empty without any."""
    now = settings_in(EXAMPLE)
    found = {
        f"New in {EXAMPLE}": now - before,
        "Gone, and still in your .env": (before - now) & settings_in(".env"),
    }
    return "\n".join(f"{text}: {', '.join(sorted(names))}" for text, names in found.items() if names)


def chassis_edits() -> Mapping[str, str]:
    """Map each edited file of the chassis to its edit, a patch against the release that was brought in last."""
    if not (project_folder() / "chassis" / manifest.NAME).exists():
        return {}
    names = [f"chassis/{name}" for name in manifest.edited(project_folder() / "chassis")]
    released = _git("log", "--max-count=1", "--format=%H", "--", f"chassis/{manifest.NAME}").stdout.strip()
    return {name: _git("diff", "--relative", released, "HEAD", "--", name).stdout for name in names}


def _save_patch(edits: Mapping[str, str], names: Sequence[str]) -> str:
    (project_folder() / PATCH).write_text("".join(edits[name] for name in names), encoding="utf-8")
    return PATCH


def copier(arguments: Sequence[str]) -> None:
    """Run `copier update`. Raises UpdateError when it ends with an error."""
    answering = [] if sys.stdin.isatty() else ["--defaults"]
    command = [*COPIER, "update", "--skip-answered", *answering, *arguments]
    if subprocess.run(
        command, cwd=project_folder(), check=False, stdout=sys.stderr, env=_environment_of_copier()
    ).returncode:
        undo = f". {UNDO}" if _changes() else ""
        raise UpdateError(f"Copier refused, for the reason above{undo}")


def _environment_of_copier() -> Mapping[str, str]:
    first = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    settings = {"GIT_CONFIG_COUNT": str(first + len(GIT_OF_COPIER))}
    for number, (key, value) in enumerate(GIT_OF_COPIER.items(), first):
        settings |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return os.environ | settings


def source() -> Source:
    """Read the answers file. Raises UpdateError when it names no release of a template that can be found again."""
    file = project_folder() / ANSWERS
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    unfolded = re.sub(r"\n +", " ", text)
    noted = dict(re.findall(r"^(_src_path|_commit): '?(.+?)'?$", unfolded, re.MULTILINE))
    if noted.keys() != {"_src_path", "_commit"}:
        raise UpdateError(f"{ANSWERS} names no template in git: make a project from one, and keep this file")
    address = noted["_src_path"]
    if not re.match(r"[A-Za-z]:|\w+@|[\w+]{2,}:|[/~\\]", address):
        raise UpdateError(f"`_src_path: {address}` in {ANSWERS} is relative: write the whole path, and commit")
    return Source(address, noted["_commit"])


def account(before: Source, after: Source, conflicts: Sequence[str], settings: str, *, locked: bool) -> str:
    """Say in Markdown what changed, what conflicts, and what the template's changelog says of it."""
    changed = _changes()
    if not changed:
        return f"Nothing changed: the project is at {after.release}."
    moved = before.release != after.release
    parts = [f"# From {before.release} to {after.release}" if moved else f"# {after.release} with other answers"]
    parts.append("## Changed files\n\n" + "\n".join(f"    {line}" for line in changed))
    if conflicts:
        parts.append("\n".join([CONFLICTS, *(f"- `{name}`" for name in conflicts)]))
    if not locked:
        parts.append("## uv.lock is as it was\n\n`uv lock` failed, for the reason it has given.")
    if settings:
        parts.append(f"## Settings\n\n{settings}")
    if moved:
        parts.append(news(before, after))
    return "\n\n".join([*parts, f"{NEXT} {UNDO}"])


def news(before: Source, after: Source) -> str:
    """Give the entries of the template's changelog after one release, up to another."""
    address = re.sub(r"^(gh:|gl:|git\+|~(?=/))", lambda found: HOSTS[found[0]], after.address)
    with tempfile.TemporaryDirectory(prefix="template-") as folder:
        done = _git("clone", "--quiet", "--bare", "--filter=blob:none", address, folder)
        if not done.returncode:
            done = _git("-C", folder, "show", f"{after.release}:CHANGELOG.md")
    if done.returncode:
        return f"The template's changelog cannot be read: {done.stderr.strip()}"
    entries = re.split(r"^(?=## )", done.stdout, flags=re.MULTILINE)[1:]
    new = [entry.strip() for entry in entries if _version(before.release) < _version(entry) <= _version(after.release)]
    return "\n\n".join(entry.replace("## ", "## New in ", 1) for entry in new)


def _version(text: str) -> tuple[int, ...]:
    """Read a version as in `v1.2.3`, in `## 1.2.3` or, two commits later, in `v1.2.3-2-gabcdef0`."""
    found = re.match(r"(?:v|## )?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def _lock() -> bool:
    return not subprocess.run(
        ["uv", "lock", "--quiet"], cwd=project_folder(), check=False, stdout=sys.stderr
    ).returncode


def _changes() -> list[str]:
    """List what git finds changed or new, as `git status --short` does."""
    return _lines("-c", "status.relativePaths=true", "status", "--short", "--untracked-files=all")


def _lines(*arguments: str) -> list[str]:
    return _git(*arguments).stdout.splitlines()


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GIT, *arguments], cwd=project_folder(), check=False, capture_output=True, text=True, encoding="utf-8"
    )
