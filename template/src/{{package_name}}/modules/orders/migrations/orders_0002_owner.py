"""An order belongs to the principal who placed it; those of before belong to nobody who can be told."""

from alembic import op

revision = "orders_0002"
down_revision = "orders_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE orders ADD COLUMN IF NOT EXISTS owner text NOT NULL DEFAULT ''")
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        # What an attempt that broke off has left.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS orders_owner_id")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS orders_owner_status_id")
        op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_owner_id ON orders (owner, id)")
        op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_owner_status_id ON orders (owner, status, id)")


def downgrade() -> None:
    op.execute("DROP INDEX orders_owner_status_id, orders_owner_id")
    op.execute("ALTER TABLE orders DROP COLUMN owner")
