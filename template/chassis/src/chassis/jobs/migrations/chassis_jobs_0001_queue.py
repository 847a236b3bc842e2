"""The queue, its limits, schedules and tracked jobs."""

from alembic import op

revision = "chassis_jobs_0001"
down_revision = None
branch_labels = ("chassis_jobs",)
depends_on = None

# A row is deleted soon after it was inserted: vacuum must come often, and is cheap.
JOBS = """
    CREATE TABLE chassis_jobs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        handler text NOT NULL,
        message_id uuid NOT NULL,
        version integer NOT NULL,
        payload bytea NOT NULL,
        priority smallint NOT NULL,
        key text,
        ordering_key text,
        request_id text NOT NULL,
        traceparent text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        due_at timestamptz NOT NULL,
        run_at timestamptz NOT NULL,
        is_limited boolean NOT NULL,
        is_waiting boolean NOT NULL,
        worker uuid,
        claim bigint NOT NULL DEFAULT 0,
        attempt integer NOT NULL DEFAULT 0,
        crashes smallint NOT NULL DEFAULT 0,
        is_alone boolean NOT NULL DEFAULT false,
        errors jsonb NOT NULL DEFAULT '[]',
        dead_at timestamptz,
        UNIQUE (message_id, handler)
    ) WITH (
        fillfactor = 70, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_cost_delay = 0
    )
"""
INDEXES = (
    """
    CREATE INDEX chassis_jobs_due ON chassis_jobs (priority, run_at)
        WHERE worker IS NULL AND dead_at IS NULL AND NOT is_waiting AND NOT is_limited
    """,
    """
    CREATE INDEX chassis_jobs_due_limited ON chassis_jobs (handler, priority DESC, run_at)
        WHERE worker IS NULL AND dead_at IS NULL AND NOT is_waiting AND is_limited
    """,
    "CREATE INDEX chassis_jobs_claimed ON chassis_jobs (run_at) WHERE worker IS NOT NULL AND dead_at IS NULL",
    "CREATE UNIQUE INDEX chassis_jobs_key ON chassis_jobs (handler, key) WHERE key IS NOT NULL AND dead_at IS NULL",
    """
    CREATE INDEX chassis_jobs_ordering_key ON chassis_jobs (handler, ordering_key, is_waiting, id)
        WHERE ordering_key IS NOT NULL AND dead_at IS NULL
    """,
    "CREATE INDEX chassis_jobs_dead_letters ON chassis_jobs (handler, dead_at) WHERE dead_at IS NOT NULL",
)
OTHERS = (
    "CREATE TABLE chassis_job_limits (handler text PRIMARY KEY, claimed_by xid8 NOT NULL)",
    "CREATE TABLE chassis_schedules (name text PRIMARY KEY, expression text NOT NULL, due_at timestamptz)",
    """
    CREATE TABLE chassis_tracked_jobs (
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
    """,
    "CREATE INDEX chassis_tracked_jobs_updated_at ON chassis_tracked_jobs (updated_at)",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in (JOBS, *INDEXES, *OTHERS):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, whatever is still in them."""
    op.execute("DROP TABLE chassis_jobs, chassis_job_limits, chassis_schedules, chassis_tracked_jobs")
