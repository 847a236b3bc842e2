"""Jobs that who asked for them can follow."""

from alembic import op

revision = "kernel_0006"
down_revision = "kernel_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE tracked_jobs (
            id uuid PRIMARY KEY,
            owner text NOT NULL,
            task text NOT NULL,
            done bigint NOT NULL DEFAULT 0,
            total bigint,
            result text,
            has_succeeded boolean,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute("CREATE INDEX tracked_jobs_updated_at ON tracked_jobs (updated_at)")


def downgrade() -> None:
    op.execute("DROP TABLE tracked_jobs")
