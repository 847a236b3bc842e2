"""Payments of orders."""

from alembic import op

revision = "payments_0001"
down_revision = None
branch_labels = ("payments",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE payments (
            id uuid PRIMARY KEY,
            order_id uuid NOT NULL,
            amount bigint NOT NULL,
            currency text NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE payments")
