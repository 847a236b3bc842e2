"""An index by which a job finds those of its ordering key before it; made beside the running release."""

from alembic import op

revision = "kernel_0005"
down_revision = "kernel_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS pgqueuer_ordering_key")  # what an attempt that broke off has left
        op.execute(
            """
            CREATE INDEX CONCURRENTLY IF NOT EXISTS pgqueuer_ordering_key
            ON pgqueuer (entrypoint, (headers ->> 'ordering_key'), id) WHERE headers ? 'ordering_key'
            """
        )


def downgrade() -> None:
    op.execute("DROP INDEX pgqueuer_ordering_key")
