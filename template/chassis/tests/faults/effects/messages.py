"""Jobs that write a row, each in its own way."""

from datetime import timedelta

from chassis.jobs import Delivery, Task


class WriteEffect(Task):
    """Goes on for so long after it has written its row."""

    delivery = Delivery(max_attempts=20)
    seconds: float = 0.01


class WriteLate(Task):
    """Runs for so long outside of a transaction before it writes its row."""

    delivery = Delivery(max_attempts=20)
    seconds: float


class WriteAlone(Task):
    """As WriteLate, with no other of its kind beside it."""

    delivery = Delivery(max_attempts=20, concurrency=1)
    seconds: float = 0.01


class WriteWhenFixed(Task):
    """Waits outside of a transaction until there is a fix, and then writes its row."""


class Poison(Task):
    """Fails until there is a fix."""

    delivery = Delivery(max_attempts=2, deadline=timedelta(seconds=5))


class KillWorker(Task):
    """Kills its worker until there is a fix."""

    delivery = Delivery(max_attempts=1)
