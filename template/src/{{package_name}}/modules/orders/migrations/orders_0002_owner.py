"""An order belongs to the principal who placed it; those of before belong to nobody who can be told."""

from alembic import op

revision = "orders_0002"
down_revision = "orders_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE orders ADD COLUMN owner text NOT NULL DEFAULT ''")
    op.execute("CREATE INDEX orders_owner_id ON orders (owner, id)")
    op.execute("CREATE INDEX orders_owner_status_id ON orders (owner, status, id)")


def downgrade() -> None:
    op.execute("DROP INDEX orders_owner_status_id, orders_owner_id")
    op.execute("ALTER TABLE orders DROP COLUMN owner")
