"""Public names (paths, questions, choices, recipes, exports of the chassis) stay, or the changelog announces it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from conftest import text_files
from months import replace
from releases import commit, current_version, earlier_releases, git

# Answers for which no file of the template is left out.
EVERYTHING = {"license": "MIT", "events": "nats"}


def recipes_of(project: Path) -> list[str]:
    justfile = (project / "justfile").read_text(encoding="utf-8")
    return re.findall(r"^([a-z][a-z-]*)(?: [^:\n]*)?:(?!=)", justfile, re.MULTILINE)


def names_of(repository: Path, release: str, folder: Path) -> set[str]:
    """Return the public names of a release: `path src/...`, `question ci`, `choice ci none`, `recipe check`, ..."""
    copier.run_copy(str(repository), folder, vcs_ref=release, data=EVERYTHING, defaults=True, quiet=True)
    questions = yaml.safe_load(git(repository, "show", f"{release}:copier.yml"))
    paths = [path.relative_to(folder).as_posix() for path in text_files(folder)]
    return {
        *(f"path {path}" for path in paths if not path.startswith("chassis/")),
        *(f"recipe {recipe}" for recipe in recipes_of(folder)),
        *(f"name {name}" for name in exported(folder / "chassis" / "src")),
        *_questions(questions),
    }


def exported(source: Path) -> Iterator[str]:
    """Yield what the rooms of the chassis export, for example `chassis.http.Router`."""
    for door in source.rglob("__init__.py"):
        room = ".".join(door.parent.relative_to(source).parts)
        for node in ast.parse(door.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                yield from (f"{room}.{name}" for name in ast.literal_eval(node.value))


def _questions(questions: dict[str, Any]) -> Iterator[str]:
    for name, question in questions.items():
        if not name.startswith("_"):
            yield f"question {name}"
            choices = question.get("choices", [])
            values = choices.values() if isinstance(choices, dict) else choices
            yield from (f"choice {name} {value}" for value in values)


def announced(names: set[str], entry: str) -> set[str]:
    """Return the names whose last word is between backticks in an entry of the changelog."""
    return {name for name in names if f"`{name.rpartition(' ')[2]}`" in entry}


def unannounced(repository: Path, before: str, after: str, folder: Path) -> set[str]:
    """Return the names that a release removed and that the newest entry of its changelog does not announce."""
    gone = names_of(repository, before, folder / "before") - names_of(repository, after, folder / "after")
    entry = git(repository, "show", f"{after}:CHANGELOG.md").split("\n## ")[1]
    return gone - announced(gone, entry)


def test_every_removed_name_is_announced(released: Path, tmp_path: Path) -> None:
    earlier = earlier_releases()
    if not earlier:
        pytest.skip("no release before this one has been published")
    assert unannounced(released, f"v{earlier[-1].version}", f"v{current_version()}", tmp_path) == set()


@pytest.mark.slow
def test_a_removed_name_that_is_not_announced_is_found(repository: Path, tmp_path: Path) -> None:
    current = f"v{current_version()}"
    remove_names(repository)
    release(repository, "98.0.0", "News.")
    removed = {
        "path docs/jobs.md",
        "question user_email",
        "choice auth none",
        "recipe fuzz",
        "name chassis.http.Router",
    }
    assert unannounced(repository, current, "v98.0.0", tmp_path / "silent") == removed
    release(repository, "99.0.0", "`docs/jobs.md`, `user_email`, the answer `none` and `fuzz` are removed.")
    assert unannounced(repository, current, "v99.0.0", tmp_path / "said") == {"name chassis.http.Router"}


def remove_names(repository: Path) -> None:
    template = repository / "template"
    (template / "docs" / "jobs.md").unlink()
    replace(template / "justfile.jinja", '\nfuzz EXAMPLES="150"', '\nfuzzing EXAMPLES="150"')
    replace(template / "chassis" / "src" / "chassis" / "http" / "__init__.py", '    "Router",\n', "")
    questions = repository / "copier.yml"
    replace(questions, "    None (trusted network or service mesh): none\n", "")
    text = re.sub(r"\nuser_email:\n.*?\n(?=\n)", "", questions.read_text(encoding="utf-8"), flags=re.DOTALL)
    questions.write_text(text, encoding="utf-8")
    replace(template / "pyproject.toml.jinja", "{% if user_email %}", "{% if false %}")


def release(repository: Path, version: str, news: str) -> None:
    changelog = repository / "CHANGELOG.md"
    replace(changelog, "\n## ", f"\n## {version}\n\n{news}\n\n## ")
    commit(repository, f"Release {version}", f"v{version}")


def test_a_release_has_paths_questions_choices_recipes_and_an_api(released: Path, tmp_path: Path) -> None:
    names = names_of(released, f"v{current_version()}", tmp_path / "project")
    assert {
        *("path LICENSE", "path src/acme_shop/service.py", "path src/acme_shop/modules/orders/api.py"),
        *("question ci", "question package_name", "choice ci none", "choice license MIT"),
        *("recipe check", "recipe drop-example", "name chassis.http.Router"),
    } <= names


@pytest.mark.parametrize(("entry", "missing"), [("- `seed` is gone.", set()), ("- seed is gone.", {"recipe seed"})])
def test_a_name_is_announced_between_backticks(entry: str, missing: set[str]) -> None:
    assert {"recipe seed"} - announced({"recipe seed"}, entry) == missing
