"""The chassis's tables have its prefix, every table has an owner, and no foreign key crosses owners."""

from pathlib import Path

from chassis.identity.api_keys import api_keys
from chassis.settings import Settings
from chassis.testing.conventions import keys_across, owners_of_tables

from tests.sample.service import service

OWNERS = {**service.migrations, **api_keys.migrations}
OTHER = """
from alembic import op

revision = "other_0001"
down_revision = None
branch_labels = ("other",)
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE others (id uuid PRIMARY KEY, note_id uuid REFERENCES notes)")
"""


async def test_every_table_has_an_owner_and_those_of_the_chassis_its_prefix(empty: Settings) -> None:
    owner_of = await owners_of_tables(empty, OWNERS)
    assert set(owner_of.values()) == OWNERS.keys()
    for name, owner in owner_of.items():
        assert name.startswith("chassis_") is owner.startswith("chassis_"), name
    assert await keys_across(empty, owner_of) == []


async def test_a_foreign_key_to_a_table_of_another_owner_is_found(empty: Settings, tmp_path: Path) -> None:
    (tmp_path / "other_0001.py").write_text(OTHER)
    owner_of = await owners_of_tables(empty, OWNERS | {"other": tmp_path})
    assert owner_of["others"] == "other"
    assert await keys_across(empty, owner_of) == ["others_note_id_fkey"]
