"""${message[:1].upper() + message[1:]}."""

from alembic import op

revision = ${repr(up_revision).replace("'", '"')}
down_revision = ${repr(down_revision).replace("'", '"')}
branch_labels = ${repr(branch_labels).replace("'", '"')}
depends_on = None


def upgrade() -> None:
    """Change the schema so that the running release keeps working: add first, remove in a later release."""
    op.execute("")


def downgrade() -> None:
    """Put the schema back."""
    op.execute("")
