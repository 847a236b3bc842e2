"""Applies the migrations: one Alembic branch per owner of tables, so that owners are added and removed independently.

Only this package imports Alembic and SQLAlchemy; the running processes do not need them.
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

# Statements queue behind one that waits for a lock, so a revision gives up soon; it may `SET LOCAL` other limits.
LIMITS = {"lock_timeout": "5s", "statement_timeout": "60s"}
ATTEMPTS = 4
PAUSE_SECONDS = 2.0

# One migration at a time. Polled, because a statement that waits would block CREATE INDEX CONCURRENTLY.
LOCK = "SELECT pg_try_advisory_lock(hashtext('migrations'))"

LOCK_NOT_AVAILABLE, QUERY_CANCELED = "55P03", "57014"
REASONS = {
    LOCK_NOT_AVAILABLE: "a table was locked for longer than lock_timeout: run the command again under less load, or "
    "find the transaction that holds the lock in pg_stat_activity; the revisions before this one are applied",
    QUERY_CANCELED: "a statement took longer than statement_timeout: move the data in batches, or add "
    "`SET LOCAL statement_timeout` to the revision; the revisions before this one are applied",
}


class MigrationError(StartError):
    """A revision does not exist, or exceeded a timeout."""


def configuration(owners: Mapping[str, Path]) -> Config:
    """Configure Alembic for the folders of these owners."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(path) for path in owners.values()))
    return config


async def migrate(
    settings: Settings, owners: Mapping[str, Path], *, upgrade: str = "heads", downgrade: str | None = None
) -> None:
    """Upgrade or downgrade to a revision, with a transaction for each step.

    Downgrading to `invoices@base` removes everything that the owner `invoices` has created. An upgrade that cannot
    get a lock is retried; it continues where it stopped.

    Raises MigrationError, or SettingsError if the database is unavailable.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await _migrate(settings, owners, upgrade, downgrade)
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", "")
            if state not in REASONS:
                raise
            if downgrade or state != LOCK_NOT_AVAILABLE or attempt == ATTEMPTS:
                raise MigrationError(REASONS[state]) from error
            await asyncio.sleep(PAUSE_SECONDS * attempt * random.uniform(0.5, 1))  # noqa: S311  # jitter
        else:
            return


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
        raise MigrationError(f"{error} (downgrade a module's migrations before you remove the module)") from error
    finally:
        await engine.dispose()


async def _connect(settings: Settings) -> Connection:
    """Connect, and wait for as long as another migration runs."""
    timeout = settings.database_connect_timeout
    try:
        connection = await asyncpg.connect(str(settings.database_url), timeout=timeout, server_settings=LIMITS)
    except (OSError, asyncpg.PostgresError) as error:
        raise SettingsError(f"DATABASE_URL is wrong or the database is unavailable: {error or 'no answer'}") from error
    while not await connection.fetchval(LOCK):  # noqa: ASYNC110  # another process sets no event
        await asyncio.sleep(0.1)
    return connection
