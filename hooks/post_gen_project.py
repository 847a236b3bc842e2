"""Has Copier render the project into the folder that Cookiecutter made for it."""

import sys
from pathlib import Path

# Cookiecutter runs this file from the folder for temporary files, where anybody may have left a module.
sys.path[:] = [folder for folder in sys.path if Path(folder) != Path(__file__).parent]

import filecmp
import json
import os
import re
from typing import Any

import copier
import yaml
from copier.errors import CopierError

# Answers come as JSON in hexadecimal digits: none of them can end the string that it stands in.
CONTEXT, GIVEN = json.loads(bytes.fromhex("{cookiecutter{ ([cookiecutter, _cookiecutter] | tojson).encode().hex() }}"))

# What Copier takes for a git repository; Cookiecutter also takes zip files and abbreviations of one's own.
ADDRESS = re.compile(r"(gh:|gl:|git@|git\+|git://|https://(github|gitlab)\.com/).*|.*\.git")


def main() -> None:
    project = Path.cwd()
    (project / "READ-ME-FIRST.md").unlink()
    try:
        answers = answered()
        os.chdir(start(CONTEXT["_template"]))
        copier.run_copy(CONTEXT["_template"], project, data=answers, vcs_ref=CONTEXT["_checkout"], defaults=True)
        see_that_all_were_taken(project, answers)
    except (CopierError, ValueError, OSError) as error:
        sys.exit(str(error))


def answered() -> dict[str, Any]:
    """Give the answers by Copier's names; what was not asked and not given is left for Copier to compute."""
    offered = json.loads(Path(CONTEXT["_repo_dir"], "cookiecutter.json").read_text(encoding="utf-8"))
    answers = {}
    for name in offered:
        if name.startswith("__") or name == "_jinja2_env_vars" or CONTEXT[name] is None:
            continue
        # The mark begins the Jinja that Cookiecutter renders; only our own defaults may have it.
        if GIVEN.get(name) != offered[name] and "{cookiecutter" in str(GIVEN.get(name)):
            raise ValueError(f"Validation error for question '{name}': Leave out {{cookiecutter")
        answers[name.removeprefix("_")] = CONTEXT[name]
    return answers


def start(template: str) -> Path:
    """Find the folder that Cookiecutter was started in, which it does not tell and a relative template begins at."""
    copy = Path(CONTEXT["_repo_dir"], "copier.yml")
    for folder in (CONTEXT["_output_dir"], os.environ.get("PWD", os.sep)):
        original = Path(folder, template, "copier.yml")
        if original.is_file() and filecmp.cmp(original, copy, shallow=False):
            return Path(folder)
    if ADDRESS.fullmatch(template):
        return Path.cwd()
    raise ValueError(
        f"Copier finds no git repository at {template}: give a folder, or an address that begins with git+"
    )


def see_that_all_were_taken(project: Path, answers: dict[str, Any]) -> None:
    """Refuse when the release that Copier rendered asks other questions than Cookiecutter did."""
    taken = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    if lost := [name for name, answer in answers.items() if taken.get(name) != answer]:
        release = taken.get("_commit")
        raise ValueError(
            f"Release {release} does not ask for {', '.join(lost)}. "
            f"Have its own questions asked with --checkout {release}, or for a folder with git checkout {release}"
        )


main()
