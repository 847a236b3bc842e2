"""Orders and their lines."""

from alembic import op

revision = "orders_0001"
down_revision = None
branch_labels = ("orders",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE orders (
            id uuid PRIMARY KEY,
            reference text NOT NULL CHECK (char_length(reference) BETWEEN 1 AND 64),
            currency text NOT NULL CHECK (char_length(currency) = 3),
            total bigint NOT NULL CHECK (total >= 0),
            status text NOT NULL CHECK (status IN ('placed', 'confirmed', 'cancelled')),
            version integer NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX orders_status_id ON orders (status, id)")
    op.execute(
        """
        CREATE TABLE order_lines (
            order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
            position integer NOT NULL,
            sku text NOT NULL CHECK (char_length(sku) BETWEEN 1 AND 64),
            quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000),
            unit_price bigint NOT NULL CHECK (unit_price BETWEEN 0 AND 1000000000000),
            PRIMARY KEY (order_id, position)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE order_lines")
    op.execute("DROP TABLE orders")
