"""Notifications, and when each was sent."""

from alembic import op

revision = "notifications_0001"
down_revision = None
branch_labels = ("notifications",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE notifications (
            id uuid PRIMARY KEY,
            event_id uuid NOT NULL,
            kind text NOT NULL CHECK (kind IN ('order_confirmed', 'order_cancelled')),
            order_id uuid NOT NULL,
            text text NOT NULL,
            created_at timestamptz NOT NULL,
            sent_at timestamptz
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE notifications")
