"""What a process is built from."""

import platform
from importlib.metadata import PackageNotFoundError, version

from chassis.settings import Settings


def build(service: str, settings: Settings) -> dict[str, str]:
    """Return the versions of the service, its source, the chassis and Python."""
    return {
        "version": _version(service),
        "revision": settings.revision,
        "chassis": _version("copier-backend-chassis"),
        "python": platform.python_version(),
    }


def _version(distribution: str) -> str:
    """Return the version of a distribution; 0 when it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0"
