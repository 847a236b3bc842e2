"""What was acknowledged, and what has become of it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

COLUMNS = ("test", "acknowledged", "done", "lost", "doubled", "recovery", "beside")


@dataclass(slots=True)
class Ledger:
    """Of what is neither acknowledged nor refused, the answer was lost: it may be done or not."""

    acknowledged: set[UUID | str] = field(default_factory=set[UUID | str])
    unknown: set[UUID | str] = field(default_factory=set[UUID | str])

    def settle(self, done: Collection[UUID | str]) -> tuple[int, int, int, int]:
        """Count what was acknowledged, done, lost and doubled, and see that nothing else was done."""
        once = set(done)
        assert once <= self.acknowledged | self.unknown
        return len(self.acknowledged), len(once), len(self.acknowledged - once), len(done) - len(once)


def table(rows: Collection[Collection[str]]) -> str:
    """Write the rows as Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
