"""Indexes by which jobs are counted, per handler: those that wait, and dead letters."""

from alembic import op

revision = "chassis_jobs_0002"
down_revision = "chassis_jobs_0001"
branch_labels = None
depends_on = None

# By `due_at`, which no claim asks for: an index that begins with `handler` and has `run_at` could be taken for a claim,
# which would then sort a backlog.
UPGRADE = (
    """
    CREATE INDEX CONCURRENTLY IF NOT EXISTS chassis_jobs_waiting ON chassis_jobs (handler, due_at)
        WHERE worker IS NULL AND dead_at IS NULL
    """,
    """
    CREATE INDEX CONCURRENTLY IF NOT EXISTS chassis_jobs_dead_letters ON chassis_jobs (handler, dead_at)
        WHERE dead_at IS NOT NULL
    """,
    "DROP INDEX CONCURRENTLY IF EXISTS chassis_jobs_dead",
)
DOWNGRADE = (
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS chassis_jobs_dead ON chassis_jobs (dead_at) WHERE dead_at IS NOT NULL",
    "DROP INDEX CONCURRENTLY IF EXISTS chassis_jobs_waiting",
    "DROP INDEX CONCURRENTLY IF EXISTS chassis_jobs_dead_letters",
)


def upgrade() -> None:
    """Replace the index of dead letters by one per handler, and add one of the jobs that wait."""
    _execute(UPGRADE)


def downgrade() -> None:
    _execute(DOWNGRADE)


def _execute(statements: tuple[str, ...]) -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = '10min'")
        for statement in statements:
            op.execute(statement)
