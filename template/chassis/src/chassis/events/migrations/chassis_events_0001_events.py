"""Events that are not published yet, where subscriptions are in their streams, and what they have received."""

from alembic import op

revision = "chassis_events_0001"
down_revision = None
branch_labels = ("chassis_events",)
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE chassis_outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id uuid NOT NULL,
        kind text NOT NULL,
        key text,
        payload bytea NOT NULL,
        request_id text NOT NULL,
        traceparent text NOT NULL,
        announced_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)
    """,
    """
    CREATE TABLE chassis_event_leader (
        is_single boolean PRIMARY KEY CHECK (is_single), worker uuid NOT NULL, until timestamptz NOT NULL
    )
    """,
    "CREATE TABLE chassis_subscriptions (handler text PRIMARY KEY, position bigint NOT NULL)",
    """
    CREATE TABLE chassis_received_events (
        handler text NOT NULL,
        event_id uuid NOT NULL,
        position bigint NOT NULL,
        published_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (handler, event_id)
    )
    """,
    "CREATE INDEX chassis_received_events_received_at ON chassis_received_events (received_at)",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, with the events that are not published."""
    op.execute("DROP TABLE chassis_outbox, chassis_event_leader, chassis_subscriptions, chassis_received_events")
