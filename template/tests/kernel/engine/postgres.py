"""PostgreSQL, the engine that needs nothing besides."""

import pytest


def use_postgres(_request: pytest.FixtureRequest) -> None:
    """Set nothing."""


ENGINES = {"postgres": use_postgres}
