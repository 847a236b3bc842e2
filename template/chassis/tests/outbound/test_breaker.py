"""The circuit breaker counts failures in a row, stays open for a while, and lets one call through to try."""

import pytest

from chassis.outbound import _breaker
from chassis.outbound._breaker import CircuitBreaker, CircuitOpen

SECONDS = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_breaker, "monotonic", clock)
    return clock


def call(breaker: CircuitBreaker, error: Exception | None = None) -> str:
    """Make a call that raises this, and name what came of it."""
    try:
        with breaker.call(ConnectionError):
            if error:
                raise error
    except (ConnectionError, CircuitOpen, ValueError) as raised:
        return type(raised).__name__
    return "ok"


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker(2, SECONDS)
    assert [call(breaker, ConnectionError()) for _ in range(3)] == ["ConnectionError", "ConnectionError", "CircuitOpen"]
    return breaker


@pytest.mark.usefixtures("clock")
def test_failures_open_it_only_when_they_come_in_a_row() -> None:
    breaker = CircuitBreaker(2, SECONDS)
    for _ in range(3):
        assert call(breaker, ConnectionError()) == "ConnectionError"
        assert call(breaker) == "ok"


@pytest.mark.usefixtures("clock")
def test_another_error_is_no_failure() -> None:
    breaker = CircuitBreaker(2, SECONDS)
    assert {call(breaker, ValueError()) for _ in range(5)} == {"ValueError"}
    assert call(breaker) == "ok"


def test_it_closes_with_a_call_that_succeeds_after_the_pause(clock: Clock) -> None:
    breaker = opened()
    clock.now += SECONDS - 1
    assert call(breaker) == "CircuitOpen"
    clock.now += 1
    assert [call(breaker), call(breaker, ConnectionError()), call(breaker)] == ["ok", "ConnectionError", "ok"]


def test_it_opens_again_with_a_call_that_fails_after_the_pause(clock: Clock) -> None:
    breaker = opened()
    clock.now += SECONDS
    assert [call(breaker, ConnectionError()), call(breaker)] == ["ConnectionError", "CircuitOpen"]
    clock.now += SECONDS
    assert call(breaker) == "ok"


def test_one_call_at_a_time_tries(clock: Clock) -> None:
    breaker = opened()
    clock.now += SECONDS
    with breaker.call(ConnectionError):
        assert call(breaker) == "CircuitOpen"
    assert call(breaker) == "ok"


def test_a_try_that_is_broken_off_leaves_it_to_the_next_call(clock: Clock) -> None:
    breaker = opened()
    clock.now += SECONDS
    assert [call(breaker, ValueError()), call(breaker), call(breaker)] == ["ValueError", "ok", "ok"]
