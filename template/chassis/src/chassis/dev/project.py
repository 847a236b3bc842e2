"""The project that a recipe runs in, and its service."""

import importlib
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chassis.settings import StartError

if TYPE_CHECKING:
    from chassis.runtime import Service


class ProjectError(StartError):
    """The recipe does not run in a project with a service."""


def _table(folder: Path) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    found = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    table: dict[str, Any] = found.get("tool", {}).get("chassis", {})
    return table


@cache
def project_folder() -> Path:
    """Find the folder, this one or one above, whose `pyproject.toml` names a service. Raises ProjectError."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if "service" in _table(folder):
            return folder
    raise ProjectError(f"no pyproject.toml in or above {here} has `[tool.chassis] service`")


@cache
def service() -> "Service":
    """Import the service that `[tool.chassis] service` names by its module. Raises ProjectError."""
    from chassis.runtime import Service  # noqa: PLC0415  # takes seconds, and most recipes need no service

    name = str(_table(project_folder())["service"])
    if str(project_folder()) not in sys.path:
        sys.path.insert(0, str(project_folder()))
    found = getattr(importlib.import_module(name), "service", None)
    if not isinstance(found, Service):
        raise ProjectError(f"{name} has no `service = Service(...)`")
    return found
