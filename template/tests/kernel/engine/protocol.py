"""How a test makes use of an engine."""

from collections.abc import Callable
from typing import Protocol

import pytest


class Carrier(Protocol):
    """A server beside PostgreSQL, which may go down and come back."""

    def start(self) -> None: ...

    def kill(self) -> None: ...


type Use = Callable[[pytest.FixtureRequest], Carrier | None]
