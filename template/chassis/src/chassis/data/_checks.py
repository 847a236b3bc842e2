"""What `doctor` checks of the database."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from chassis.data._connect import connect
from chassis.data._database import open_database
from chassis.data._outage import reason_of
from chassis.data._pool import Connection
from chassis.data._revisions import Revisions
from chassis.settings import Settings, StartError

MIN_VERSION = 15
MAX_SKEW_SECONDS = 5.0
ECHO_SECONDS = 2.0
FACTS = """
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
        clock_timestamp() AS now, current_user AS role, current_setting('transaction_read_only')::bool AS is_read_only
"""
# Tables that the role cannot use, except those of extensions; of the revisions, it reads only.
REFUSED = """
    SELECT string_agg(quote_ident(relname), ', ' ORDER BY relname) FROM pg_class
    WHERE pg_table_is_visible(oid) AND relnamespace <> 'pg_catalog'::regnamespace AND relkind IN ('r', 'p')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
        AND NOT (has_table_privilege(oid, 'SELECT') AND (relname = 'alembic_version' OR (
            has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')
            AND has_table_privilege(oid, 'DELETE'))))
"""


class DatabaseCheckFailed(StartError):
    """The database cannot be used as configured; the message says what to do."""


async def check_database(settings: Settings) -> str:
    """Check that the database answers, lets this role write and has this machine's time. Raises DatabaseCheckFailed."""
    connection = await _connect("DATABASE_URL", settings.database_url, settings)
    try:
        start = perf_counter()
        [facts] = await connection.fetch(FACTS)
        seconds = perf_counter() - start
        refused = await connection.fetchval(REFUSED)
    finally:
        connection.terminate()
    version, role = str(facts["version"]).split()[0], facts["role"]
    skew = abs((datetime.now(UTC) - facts["now"]).total_seconds())
    if facts["number"] < MIN_VERSION * 10_000:
        raise DatabaseCheckFailed(f"PostgreSQL {version}: use {MIN_VERSION} or newer")
    if facts["is_read_only"]:
        raise DatabaseCheckFailed("the database is read-only: name the primary in DATABASE_URL")
    if refused:
        raise DatabaseCheckFailed(f"run GRANT SELECT, INSERT, UPDATE, DELETE ON {refused} TO {role}")
    if skew > MAX_SKEW_SECONDS:
        raise DatabaseCheckFailed(f"its clock differs from this machine's by {skew:.0f} s: synchronize both")
    return f"PostgreSQL {version}, {1000 * seconds:.0f} ms"


async def check_migrations(settings: Settings, owners: Mapping[str, Path]) -> str:
    """Check that the revisions of this code are applied. Raises NotMigrated or Unavailable."""
    async with open_database(settings, 1) as database:
        return await Revisions(database, owners).check()


async def check_listening(settings: Settings) -> str:
    """Check that notifications arrive over DATABASE_LISTEN_URL, or DATABASE_URL. Raises DatabaseCheckFailed."""
    if settings.database_listen_url == "none":
        return "off, workers poll"
    heard = asyncio.Event()

    def note(*_: object) -> None:
        heard.set()

    sender = await _connect("DATABASE_URL", settings.database_url, settings)
    try:
        listener = await _connect(
            "DATABASE_LISTEN_URL", settings.database_listen_url or settings.database_url, settings
        )
        try:
            await listener.add_listener("chassis_doctor", note)
            await sender.execute("NOTIFY chassis_doctor")
            async with asyncio.timeout(ECHO_SECONDS):
                await heard.wait()
        except TimeoutError:
            raise DatabaseCheckFailed(
                "NOTIFY does not arrive: set DATABASE_LISTEN_URL to a direct connection to the same database"
            ) from None
        finally:
            listener.terminate()
    finally:
        sender.terminate()
    return "NOTIFY arrives"


async def _connect(name: str, url: str, settings: Settings) -> Connection:
    try:
        return await connect(url, settings, command_timeout=settings.database_statement_timeout)
    except Exception as error:
        raise DatabaseCheckFailed(f"{reason_of(error)}: check {name}, and that the server runs") from error
