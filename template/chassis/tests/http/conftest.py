"""The fixture of log lines, for the tests of HTTP."""

from tests._logged import logged

__all__ = ["logged"]
