"""What a process says that it is built from."""

import platform
from importlib.metadata import version

from chassis.ops import build
from chassis.settings import Settings


def settings_with(**values: str) -> Settings:
    return Settings.model_validate({"database_url": "postgresql://localhost/none", **values})


def test_it_names_the_versions_and_the_revision() -> None:
    assert build("asyncpg", settings_with(revision="4f2a")) == {
        "version": version("asyncpg"),
        "revision": "4f2a",
        "chassis": version("copier-backend-chassis"),
        "python": platform.python_version(),
    }


def test_what_is_not_known_has_a_value() -> None:
    built = build("not-installed", settings_with())
    assert (built["version"], built["revision"]) == ("0", "unknown")
