"""Applies the migrations: one Alembic branch per owner of tables, so that owners are added and removed independently.

Only this package imports Alembic and SQLAlchemy; the running processes do not need them.
"""

import asyncio
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.data import Connection, reason_of
from chassis.data._connect import connect
from chassis.data._revisions import revisions_in
from chassis.settings import Settings, SettingsError, StartError

# Statements queue behind one that waits for a lock, so a revision gives up soon; it may `SET LOCAL` other limits.
LIMITS = {"lock_timeout": "5s", "statement_timeout": "60s"}
ATTEMPTS = 4
PAUSE_SECONDS = 2.0

# One migration at a time. Polled, because a statement that waits would block CREATE INDEX CONCURRENTLY.
LOCK = "SELECT pg_try_advisory_lock(hashtext('migrations'))"

# A migration that runs for longer than this has probably been left behind.
WAIT_SECONDS = 600.0

LOCK_NOT_AVAILABLE, QUERY_CANCELED = "55P03", "57014"
# What the server answers when it refuses or loses the connection, is read-only, full or not granted to the role.
SURROUNDINGS = ("08", "25006", "28", "3D", "3F", "42501", "53", "57P", "58")
REASONS = {
    LOCK_NOT_AVAILABLE: "a table was locked for longer than lock_timeout: run the command again under less load, or "
    "find the transaction that holds the lock in pg_stat_activity; the revisions before this one are applied",
    QUERY_CANCELED: "a statement took longer than statement_timeout: move the data in batches, or add "
    "`SET LOCAL statement_timeout` to the revision; the revisions before this one are applied",
}


class MigrationError(StartError):
    """A revision does not exist, is there twice, or exceeded a timeout."""


def configuration(owners: Mapping[str, Path]) -> Config:
    """Configure Alembic for the folders of these owners. Raises MigrationError if two files are one revision."""
    for owner, folder in owners.items():
        first: dict[str, Path] = {}
        for revision, path in revisions_in(folder):
            if first.setdefault(revision, path) != path:  # of which Alembic would skip one
                raise MigrationError(
                    f"{first[revision].name} and {path.name} are both the revision {revision}: give the one that no "
                    "deployed database has, and those that follow it, the next numbers, for example with "
                    f"`uv run just renumber {owner} {path.name}`"
                )
    options = {
        "script_location": str(Path(__file__).parent),
        "path_separator": "newline",
        "version_locations": "\n".join(map(str, owners.values())),
    }
    config = Config()
    for name, value in options.items():
        config.set_main_option(name, value.replace("%", "%%"))  # configparser interpolates
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
            state = getattr(error.orig, "sqlstate", None) or ""
            if state.startswith(SURROUNDINGS) or error.connection_invalidated:
                wrapped = error.orig or error
                reason = reason_of(wrapped.__cause__ or wrapped)  # SQLAlchemy puts the class of the cause before it
                raise MigrationError(f"{reason}; the revisions before this one are applied") from error
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
    """Connect, and wait while another migration runs."""
    direct = settings.database_listen_url
    name, url = (
        ("DATABASE_LISTEN_URL", direct) if direct not in {"", "none"} else ("DATABASE_URL", settings.database_url)
    )
    try:
        connection = await connect(url, settings, server_settings=LIMITS)
    except Exception as error:
        raise SettingsError(f"{name} is wrong or the database is unavailable: {reason_of(error)}") from error
    until = monotonic() + WAIT_SECONDS
    if not await connection.fetchval(LOCK):
        print("Waiting for another migration.", file=sys.stderr)  # noqa: T201  # for who waits
        while not await connection.fetchval(LOCK):
            if monotonic() > until:
                connection.terminate()
                raise MigrationError(
                    "another migration has not ended: find the session that holds its lock in pg_locks"
                )
            await asyncio.sleep(0.1)
    return connection
