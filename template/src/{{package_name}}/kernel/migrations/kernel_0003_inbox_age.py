"""An index by which the inbox finds what is old; made beside the running release, for the inbox may be large."""

from alembic import op

revision = "kernel_0003"
down_revision = "kernel_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS inbox_received_at")  # what an attempt that broke off has left
        op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS inbox_received_at ON inbox (received_at)")


def downgrade() -> None:
    op.execute("DROP INDEX inbox_received_at")
