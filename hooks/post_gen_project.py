"""Renders the project with Copier into the folder that Cookiecutter created."""

import sys
from pathlib import Path

# Cookiecutter runs this file from the folder for temporary files, from which nothing must be imported.
sys.path[:] = [folder for folder in sys.path if Path(folder) != Path(__file__).parent]

import filecmp
import json
import os
import re
from typing import Any

import copier
import yaml
from copier.errors import CopierError

# Answers are passed as JSON in hexadecimal digits, so none of them can end the string literal.
CONTEXT, GIVEN = json.loads(bytes.fromhex("{cookiecutter{ ([cookiecutter, _cookiecutter] | tojson).encode().hex() }}"))

# URLs that Copier accepts; Cookiecutter also accepts zip files and configured abbreviations.
ADDRESS = re.compile(r"(gh:|gl:|git@|git\+|git://|https://(github|gitlab)\.com/).*|.*\.git")


def main() -> None:
    project = Path.cwd()
    (project / "READ-ME-FIRST.md").unlink()
    try:
        answers = answered()
        os.chdir(start(CONTEXT["_template"]))
        copier.run_copy(CONTEXT["_template"], project, data=answers, vcs_ref=CONTEXT["_checkout"], defaults=True)
        require_all_accepted(project, answers)
    except (CopierError, ValueError, OSError) as error:
        sys.exit(str(error))


def answered() -> dict[str, Any]:
    """Return the answers under the names of Copier, without those that Copier has to compute."""
    offered = json.loads(Path(CONTEXT["_repo_dir"], "cookiecutter.json").read_text(encoding="utf-8"))
    answers = {}
    for name in offered:
        if name.startswith("__") or name == "_jinja2_env_vars" or CONTEXT[name] is None:
            continue
        # The mark begins Jinja that Cookiecutter renders; only the template's own defaults may contain it.
        if GIVEN.get(name) != offered[name] and "{cookiecutter" in str(GIVEN.get(name)):
            raise ValueError(f"Validation error for question '{name}': Remove {{cookiecutter")
        answers[name.removeprefix("_")] = CONTEXT[name]
    return answers


def start(template: str) -> Path:
    """Return the folder that Cookiecutter was started in, to which a relative path of the template refers."""
    copy = Path(CONTEXT["_repo_dir"], "copier.yml")
    for folder in (CONTEXT["_output_dir"], os.environ.get("PWD", os.sep)):
        original = Path(folder, template, "copier.yml")
        if original.is_file() and filecmp.cmp(original, copy, shallow=False):
            return Path(folder)
    if ADDRESS.fullmatch(template):
        return Path.cwd()
    raise ValueError(f"Copier finds no git repository at {template}: use a folder, or a URL that begins with git+")


def require_all_accepted(project: Path, answers: dict[str, Any]) -> None:
    """Raise ValueError if the release that Copier rendered does not have a question that Cookiecutter asked."""
    taken = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    if lost := [name for name, answer in answers.items() if taken.get(name) != answer]:
        release = taken.get("_commit")
        raise ValueError(
            f"Release {release} has no question {', '.join(lost)}. "
            f"Use the questions of that release: --checkout {release}, or for a folder git checkout {release}"
        )


main()
