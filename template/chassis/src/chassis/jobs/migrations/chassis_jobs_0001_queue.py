"""The queue's tables, made by pgqueuer, and those beside it: inbox, schedules, tracked jobs."""

from typing import Any

from alembic import op
from sqlalchemy.util import await_only

from chassis.jobs import QUEUE_SQL

revision = "chassis_jobs_0001"
down_revision = None
branch_labels = ("chassis_jobs",)
depends_on = None

TABLES = """
    CREATE TABLE chassis_inbox (
        message_id uuid NOT NULL,
        handler text NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (message_id, handler)
    );
    CREATE INDEX chassis_inbox_received_at ON chassis_inbox (received_at);
    CREATE TABLE chassis_schedules (name text PRIMARY KEY, expression text NOT NULL, due_at timestamptz);
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
    );
    CREATE INDEX chassis_tracked_jobs_updated_at ON chassis_tracked_jobs (updated_at);
"""
INDEXES = """
    CREATE INDEX pgqueuer_ordering_key ON pgqueuer (entrypoint, (headers ->> 'ordering_key'), id)
        WHERE headers ? 'ordering_key';
    CREATE INDEX pgqueuer_tracked ON pgqueuer ((headers ->> 'tracked')) WHERE headers ? 'tracked';
"""


def upgrade() -> None:
    """Install the queue as the library of this release defines it."""
    op.execute("SELECT 1")  # begins the transaction, which the driver's own connection then shares
    for script in (QUEUE_SQL.build_install_query(), TABLES, INDEXES):
        _run_script(script)


def downgrade() -> None:
    """Remove the queue, whatever is still in it."""
    op.execute("DROP TABLE chassis_inbox, chassis_schedules, chassis_tracked_jobs")
    _run_script(QUEUE_SQL.build_uninstall_query())


def _run_script(sql: str) -> None:
    """Run several statements at once."""
    driver: Any = op.get_bind().connection.driver_connection
    await_only(driver.execute(sql))
