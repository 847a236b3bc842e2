"""Fails before the first question if Copier, which renders the project, is missing, or a program is too old."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# The first release of Cookiecutter that applies the delimiters of cookiecutter.json to the folder name.
COOKIECUTTER = "2.6.0"


def installed(program: str) -> str | None:
    try:
        return version(program)
    except PackageNotFoundError:
        return None


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def main() -> None:
    # Cookiecutter runs this file in a copy of the repository.
    settings = Path("copier.yml").read_text(encoding="utf-8")
    [copier] = re.findall(r'^_min_copier_version: "(.+)"$', settings, re.MULTILINE)
    for program, needed in {"Copier": copier, "Cookiecutter": COOKIECUTTER}.items():
        found = installed(program.lower())
        if found is None or numbers(found) < numbers(needed):
            sys.exit(
                f"This template needs {program} {needed} or newer; found {found or 'none'} in the environment of "
                f"{sys.executable}. Use one of these commands:\n\n"
                "    uvx --with copier cookiecutter REPOSITORY\n"
                "    uvx copier copy REPOSITORY FOLDER\n"
            )


main()
