"""A circuit breaker: after several failures in a row, calls fail at once for a while, then one call tries again.

No maintained library has an asynchronous breaker: the last release of purgatory is of 2024.
"""

from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic


class CircuitOpen(Exception):
    """The call was not made, because the calls before it failed."""


class CircuitBreaker:
    """Opens after `failures` failed calls in a row, and lets one call through again after `seconds`."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._threshold = failures
        self._seconds = seconds
        self._failures = 0
        self._opened_at = 0.0
        self._probing = False

    @contextmanager
    def call(self, failure: type[Exception]) -> Generator[None]:
        """Count each `failure` raised in the block, and start again at zero on success. Raises CircuitOpen."""
        is_probe = self._failures >= self._threshold
        if is_probe:
            if self._probing or monotonic() - self._opened_at < self._seconds:
                raise CircuitOpen("too many calls failed")
            self._probing = True
        try:
            yield
        except failure:
            self._failures += 1
            self._opened_at = monotonic()
            raise
        else:
            self._failures = 0
        finally:
            if is_probe:
                self._probing = False
