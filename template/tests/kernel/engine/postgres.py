"""PostgreSQL, the engine that needs nothing besides."""

import pytest

from tests.kernel.engine.protocol import Use


def use_postgres(_request: pytest.FixtureRequest) -> None:
    """Set nothing."""


ENGINES: dict[str, Use] = {"postgres": use_postgres}
