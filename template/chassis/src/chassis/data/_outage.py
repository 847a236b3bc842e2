"""Logs when the database becomes unavailable, with the reason, and when it is available again."""

from time import monotonic

import structlog

log = structlog.stdlib.get_logger(__name__)

# Without an error for this long, an outage is over: where only writes fail, reads succeed in between.
QUIET_SECONDS = 2.0


def reason_of(error: BaseException) -> str:
    """Describe an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


class Outage:
    """The outage of one process's database, whose begin and end are logged; a command says itself what it misses."""

    def __init__(self) -> None:
        self.is_logged = False
        self._last_error: float | None = None

    @property
    def is_over(self) -> bool:
        return self._last_error is None

    def fail(self, error: BaseException) -> None:
        if self.is_logged and self._last_error is None:
            log.warning("database unavailable", reason=reason_of(error))
        self._last_error = monotonic()

    def succeed(self) -> None:
        if self._last_error is not None and monotonic() - self._last_error > QUIET_SECONDS:
            self._last_error = None
            if self.is_logged:
                log.info("database available again")
