"""The fixture of log lines, for the tests of operations."""

from tests._logged import logged

__all__ = ["logged"]
