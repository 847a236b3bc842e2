"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = None


def upgrade() -> None:
    """Change the schema so that the running release keeps working: add first, remove in a later release."""
    op.execute("")


def downgrade() -> None:
    """Put the schema back."""
    op.execute("")
