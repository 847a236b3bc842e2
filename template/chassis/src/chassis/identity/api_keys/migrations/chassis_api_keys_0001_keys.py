"""API keys, each as the hash of its secret."""

from alembic import op

revision = "chassis_api_keys_0001"
down_revision = None
branch_labels = ("chassis_api_keys",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE chassis_api_keys (
            id text PRIMARY KEY,
            hash bytea NOT NULL CHECK (octet_length(hash) = 32),
            subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
            scopes text[] NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            last_used_at timestamptz,
            revoked_at timestamptz
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE chassis_api_keys")
