"""What runs: the release of the service, of its source, of the chassis and of Python."""

import platform
from importlib.metadata import PackageNotFoundError, version

from chassis.settings import Settings

CHASSIS = "copier-backend-chassis"


def version_of(distribution: str) -> str:
    """Return the version of an installed distribution; 0 when it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0"


def build(service: str, settings: Settings) -> dict[str, str]:
    """Return the versions of the service (the distribution has the service's name), of the chassis and of Python."""
    return {
        "version": version_of(service),
        "revision": settings.revision,
        "chassis": version_of(CHASSIS),
        "python": platform.python_version(),
    }
