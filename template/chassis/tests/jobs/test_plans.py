"""A list costs the same however much there is: its plan on 100,000 rows reads an index and counts nothing."""

from uuid import UUID

import pytest

from chassis.settings import Settings
from chassis.testing import PlanOf, execute

from tests.sample.modules.notes import persistence

FILL = "INSERT INTO notes (id, owner, text) SELECT gen_random_uuid(), 'alice', 'a note' FROM generate_series(1, 100000)"
# A count of what the table has, as for a number of pages.
COUNTED = persistence.LIST.replace("SELECT id", "SELECT count(*) OVER (), id")


@pytest.fixture(autouse=True)
async def notes(settings: Settings) -> None:
    await execute(settings.database_url, FILL)


async def test_a_page_of_notes_reads_an_index(plan_of: PlanOf) -> None:
    for before in (None, UUID(int=2**127)):
        plan = await plan_of(persistence.LIST, "alice", before, 21)
        assert "Index" in plan
        assert "Seq Scan" not in plan
        assert "Aggregate" not in plan


async def test_a_statement_without_an_index_would_be_found(plan_of: PlanOf) -> None:
    assert "Seq Scan" in await plan_of("SELECT id FROM notes ORDER BY text LIMIT 21")
    assert "WindowAgg" in await plan_of(COUNTED, "alice", None, 21)
