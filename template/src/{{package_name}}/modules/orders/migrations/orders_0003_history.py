"""What orders came to, by whom and in which request; rows are added and never changed."""

from alembic import op

revision = "orders_0003"
down_revision = "orders_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE order_events (
            order_id uuid NOT NULL,
            version integer NOT NULL,
            status text NOT NULL CHECK (status IN ('placed', 'confirmed', 'cancelled')),
            principal text NOT NULL,
            request_id text NOT NULL,
            happened_at timestamptz NOT NULL,
            PRIMARY KEY (order_id, version)
        )
        """
    )
    op.execute(
        """
        CREATE FUNCTION order_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'order_events is append-only' USING ERRCODE = 'restrict_violation';
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER order_events_append_only BEFORE UPDATE OR DELETE ON order_events
        FOR EACH STATEMENT EXECUTE FUNCTION order_events_append_only()
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE order_events")
    op.execute("DROP FUNCTION order_events_append_only")
