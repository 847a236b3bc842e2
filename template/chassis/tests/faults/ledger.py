"""What was acknowledged, and what has become of it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

COLUMNS = ("test", "acknowledged", "done", "lost", "doubled", "unexpected", "stuck", "recovery", "beside")


@dataclass(slots=True)
class Ledger:
    """Of what is neither acknowledged nor refused, the answer was lost: it may be done or not."""

    acknowledged: set[UUID | str] = field(default_factory=set[UUID | str])
    unknown: set[UUID | str] = field(default_factory=set[UUID | str])
    # Jobs that were waited for in vain.
    stuck: int = 0

    def settle(self, done: Collection[UUID | str]) -> tuple[int, ...]:
        """Count what was acknowledged, done, lost and doubled, what was done that nobody asked for, what is stuck."""
        once = set(done)
        lost, unexpected = self.acknowledged - once, once - self.acknowledged - self.unknown
        doubled = len(done) - len(once)
        return len(self.acknowledged), len(once), len(lost), doubled, len(unexpected), self.stuck


def table(rows: Collection[Collection[str]]) -> str:
    """Write the rows as Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
