"""Notes; a parent that is missing is found out at the commit only."""

from alembic import op

revision = "notes_0001"
down_revision = None
branch_labels = ("notes",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE notes (
            id uuid PRIMARY KEY,
            owner text NOT NULL DEFAULT '',
            text text NOT NULL,
            parent_id uuid REFERENCES notes DEFERRABLE INITIALLY DEFERRED,
            counted integer NOT NULL DEFAULT 0,
            version integer NOT NULL DEFAULT 1
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE notes")
