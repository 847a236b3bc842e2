"""Alembic's environment: runs the revisions on the connection that `chassis.data.migration` passes in."""

from alembic import context
from alembic.runtime.migration import MigrationContext


def _restore_limits(ctx: MigrationContext, *_: object, **__: object) -> None:
    """Undo the limits that a revision has set, before the next one."""
    ctx.execute("RESET lock_timeout")
    ctx.execute("RESET statement_timeout")


context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=True,
    on_version_apply=_restore_limits,
)
with context.begin_transaction():
    context.run_migrations()
