"""Idempotency keys with the stored answers."""

from alembic import op

revision = "chassis_http_0001"
down_revision = None
branch_labels = ("chassis_http",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE chassis_idempotency_keys (
            principal text NOT NULL,
            route text NOT NULL,
            key text NOT NULL,
            fingerprint bytea NOT NULL,
            status smallint,
            headers text,
            body bytea,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (principal, route, key)
        )
        """
    )
    op.execute("CREATE INDEX chassis_idempotency_keys_created_at ON chassis_idempotency_keys (created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE chassis_idempotency_keys")
