"""When a notification was sent."""

from alembic import op

revision = "notifications_0002"
down_revision = "notifications_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications ADD COLUMN sent_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications DROP COLUMN sent_at")
