"""Names that people build on: paths, questions, their choices, and recipes stay, or the changelog says that they go."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from conftest import ROOT, text_files
from releases import current_version, earlier_releases, git

# Answers that together bring every file of the template to the light.
EVERYTHING = {"license": "MIT"}


def recipes_of(project: Path) -> list[str]:
    justfile = (project / "justfile").read_text(encoding="utf-8")
    return re.findall(r"^([a-z][a-z-]*)(?: [^:\n]*)?:(?!=)", justfile, re.MULTILINE)


def names_of(repository: Path, release: str, folder: Path) -> set[str]:
    """Name what a release promises: `path src/...`, `question ci`, `choice ci none` and `recipe check`."""
    copier.run_copy(str(repository), folder, vcs_ref=release, data=EVERYTHING, defaults=True, quiet=True)
    questions = yaml.safe_load(git(repository, "show", f"{release}:copier.yml"))
    return {
        *(f"path {path.relative_to(folder)}" for path in text_files(folder)),
        *(f"recipe {recipe}" for recipe in recipes_of(folder)),
        *_questions(questions),
    }


def _questions(questions: dict[str, Any]) -> Iterator[str]:
    for name, question in questions.items():
        if not name.startswith("_"):
            yield f"question {name}"
            choices = question.get("choices", [])
            values = choices.values() if isinstance(choices, dict) else choices
            yield from (f"choice {name} {value}" for value in values)


def announced(names: set[str], entry: str) -> set[str]:
    """Give those whose last word the changelog's entry has between backticks."""
    return {name for name in names if f"`{name.rpartition(' ')[2]}`" in entry}


def test_no_name_goes_that_the_changelog_does_not_announce(released: Path, tmp_path: Path) -> None:
    earlier = earlier_releases()[-1].version
    before = names_of(released, f"v{earlier}", tmp_path / "before")
    after = names_of(released, f"v{current_version()}", tmp_path / "after")
    entry = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    gone = before - after
    assert gone - announced(gone, entry) == set()


def test_a_release_promises_its_paths_questions_choices_and_recipes(released: Path, tmp_path: Path) -> None:
    names = names_of(released, f"v{current_version()}", tmp_path / "project")
    assert {
        *("path LICENSE", "path src/acme_shop/kernel/errors.py", "path src/acme_shop/modules/orders/api.py"),
        *("question ci", "question package_name", "choice ci none", "choice license MIT"),
        *("recipe check", "recipe drop-example"),
    } <= names


@pytest.mark.parametrize(("entry", "missing"), [("- `seed` is gone.", set()), ("- seed is gone.", {"recipe seed"})])
def test_a_name_is_announced_between_backticks(entry: str, missing: set[str]) -> None:
    assert {"recipe seed"} - announced({"recipe seed"}, entry) == missing
