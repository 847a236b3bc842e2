"""The fixture of log lines, for the tests of HTTP."""

from tests.ops.conftest import logged, output

__all__ = ["logged", "output"]
