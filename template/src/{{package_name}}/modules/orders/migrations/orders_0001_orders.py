"""Orders with their lines and their audit trail, and exports."""

from alembic import op

revision = "orders_0001"
down_revision = None
branch_labels = ("orders",)
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE orders (
        id uuid PRIMARY KEY,
        owner text NOT NULL,
        reference text NOT NULL CHECK (char_length(reference) BETWEEN 1 AND 64),
        currency text NOT NULL CHECK (char_length(currency) = 3),
        total bigint NOT NULL CHECK (total >= 0),
        status text NOT NULL CHECK (status IN ('placed', 'confirmed', 'cancelled')),
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX orders_owner_id ON orders (owner, id)",
    "CREATE INDEX orders_owner_status_id ON orders (owner, status, id)",
    """
    CREATE TABLE order_lines (
        order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
        position integer NOT NULL,
        sku text NOT NULL CHECK (char_length(sku) BETWEEN 1 AND 64),
        quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000),
        unit_price bigint NOT NULL CHECK (unit_price BETWEEN 0 AND 1000000000000),
        PRIMARY KEY (order_id, position)
    )
    """,
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
    """,
    """
    CREATE FUNCTION order_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'order_events is append-only' USING ERRCODE = 'restrict_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER order_events_append_only BEFORE UPDATE OR DELETE ON order_events
    FOR EACH STATEMENT EXECUTE FUNCTION order_events_append_only()
    """,
    """
    CREATE TABLE order_export_parts (
        export_id uuid NOT NULL,
        number integer NOT NULL,
        last_order_id uuid,
        csv text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (export_id, number)
    )
    """,
    "CREATE INDEX order_export_parts_created_at ON order_export_parts (created_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE order_export_parts, order_events, order_lines, orders")
    op.execute("DROP FUNCTION order_events_append_only()")
