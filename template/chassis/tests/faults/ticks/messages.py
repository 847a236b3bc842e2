"""What is queued at each tick."""

from chassis.jobs import Task


class Tick(Task):
    """Writes a row."""
