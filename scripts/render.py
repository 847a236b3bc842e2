"""Renders the working tree, including uncommitted changes, into a folder: `render.py FOLDER [NAME=VALUE ...]`."""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import copier

TEMPLATE = Path(__file__).resolve().parent.parent
PARTS = ("copier.yml", "includes", "template")
# Files that tools leave in `template/chassis`.
CACHES = ("__pycache__", ".*_cache", ".coverage", ".coverage.*", ".dev", ".hypothesis", ".venv", "uv.lock")


def render(target: Path, answers: dict[str, Any] | None = None) -> None:
    """Render a copy of the template without git history; from a repository, Copier renders the last commit."""
    with tempfile.TemporaryDirectory() as plain:
        copy_template(Path(plain))
        copier.run_copy(plain, target, data=answers, defaults=True, quiet=True)


def copy_template(target: Path) -> Path:
    """Copy what Copier needs into a folder without git history."""
    target.mkdir(exist_ok=True)
    for part in PARTS:
        source = TEMPLATE / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns(*CACHES))
        else:
            shutil.copy(source, target / part)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("answers", nargs="*", metavar="NAME=VALUE")
    options = parser.parse_args()
    answers = {name: value for name, _, value in (answer.partition("=") for answer in options.answers)}
    render(options.folder, answers)


if __name__ == "__main__":
    main()
