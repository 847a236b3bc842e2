"""When each schedule is due."""

from alembic import op

revision = "kernel_0004"
down_revision = "kernel_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE schedules (name text PRIMARY KEY, expression text NOT NULL, due_at timestamptz)")


def downgrade() -> None:
    op.execute("DROP TABLE schedules")
