"""Applies the migrations: one Alembic branch for each owner of tables, so that owners come and go independently.

Alembic, and SQLAlchemy with it, is imported for this only; the running processes do without.
"""

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.data import Connection
from chassis.settings import Settings, SettingsError, StartError

# Who waits for a lock holds up all who come after it, so a revision gives up soon; `SET LOCAL` changes one revision.
LIMITS = {"lock_timeout": "5s", "statement_timeout": "60s"}
ATTEMPTS = 4
PAUSE_SECONDS = 2.0

# One migration at a time. Asked again and again: who waits inside the statement stops CREATE INDEX CONCURRENTLY.
LOCK = "SELECT pg_try_advisory_lock(hashtext('migrations'))"

LOCK_NOT_AVAILABLE, QUERY_CANCELED = "55P03", "57014"
REASONS = {
    LOCK_NOT_AVAILABLE: "a table was in use for longer than lock_timeout: run it again when less is going on, or "
    "look in pg_stat_activity for the transaction that holds it; the revisions before this one are applied",
    QUERY_CANCELED: "a statement took longer than statement_timeout: move the data in batches, or say "
    "`SET LOCAL statement_timeout` in the revision; the revisions before this one are applied",
}


class MigrationError(StartError):
    """A revision is not among the migrations, or the database did not let it through."""


def configuration(owners: Mapping[str, Path]) -> Config:
    """Make Alembic's configuration for the folders of these owners."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(path) for path in owners.values()))
    return config


async def migrate(
    settings: Settings, owners: Mapping[str, Path], *, upgrade: str = "heads", downgrade: str | None = None
) -> None:
    """Upgrade to a revision, or downgrade to one, with a transaction for each step.

    Downgrading to `invoices@base` removes all that the owner `invoices` has made. An upgrade that cannot get a lock
    is tried again; it continues where it stopped.

    Raises MigrationError, or SettingsError when the database cannot be reached.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            await _migrate(settings, owners, upgrade, downgrade)
        except DBAPIError as error:
            if downgrade or _sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise _explained(error) from error
            await asyncio.sleep(PAUSE_SECONDS * attempt * random.uniform(0.5, 1))  # noqa: S311  # it spreads load
        else:
            return
    try:
        await _migrate(settings, owners, upgrade, downgrade)
    except DBAPIError as error:
        raise _explained(error) from error


async def _migrate(settings: Settings, owners: Mapping[str, Path], upgrade: str, downgrade: str | None) -> None:
    config = configuration(owners)

    def run(connection: SyncConnection) -> None:
        config.attributes["connection"] = connection
        if downgrade:
            command.downgrade(config, downgrade)
        else:
            command.upgrade(config, upgrade)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: _connect(settings))
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    except CommandError as error:
        raise MigrationError(f"{error} (a module that is gone must be downgraded before it goes)") from error
    finally:
        await engine.dispose()


async def _connect(settings: Settings) -> Connection:
    """Connect, and wait until no other migration runs, which may be long."""
    timeout = settings.database_connect_timeout
    try:
        connection = await asyncpg.connect(str(settings.database_url), timeout=timeout, server_settings=LIMITS)
    except (OSError, asyncpg.PostgresError) as error:
        raise SettingsError(f"DATABASE_URL is wrong or the database is unavailable: {error or 'no answer'}") from error
    while not await connection.fetchval(LOCK):  # noqa: ASYNC110  # no event tells of another process
        await asyncio.sleep(0.1)
    return connection


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _explained(error: DBAPIError) -> Exception:
    """Give what to do about it in one line, or the error itself when it is a mistake in a revision."""
    reason = REASONS.get(_sqlstate(error))
    return MigrationError(reason) if reason else error
