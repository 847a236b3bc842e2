"""An index by which a tracked job finds its place on the queue; made beside the running release."""

from alembic import op

revision = "kernel_0007"
down_revision = "kernel_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS pgqueuer_tracked")  # what an attempt that broke off has left
        op.execute(
            """
            CREATE INDEX CONCURRENTLY IF NOT EXISTS pgqueuer_tracked
            ON pgqueuer ((headers ->> 'tracked')) WHERE headers ? 'tracked'
            """
        )


def downgrade() -> None:
    op.execute("DROP INDEX pgqueuer_tracked")
