"""Exports, a part for each batch of orders."""

from alembic import op

revision = "orders_0004"
down_revision = "orders_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE order_export_parts (
            export_id uuid NOT NULL,
            number integer NOT NULL,
            last_order_id uuid,
            csv text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (export_id, number)
        )
        """
    )
    op.execute("CREATE INDEX order_export_parts_created_at ON order_export_parts (created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE order_export_parts")
