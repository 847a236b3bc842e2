"""The connection pool: every wait on the database has a limit."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from chassis.errors import Unavailable
from chassis.settings import Settings

type Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
type Pool = asyncpg.Pool[asyncpg.Record]

# What a stopped, restarting, frozen or overloaded server raises, or one whose tables change under a statement.
UNAVAILABLE_ERRORS = (
    ConnectionError,
    TimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
)
# What a connection may raise as well when it is lost during use.
CONNECTION_ERRORS = (*UNAVAILABLE_ERRORS, asyncpg.InterfaceError, asyncpg.InternalClientError)
# What the server ends so that another transaction can go on; the same work may well succeed the next time.
CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# An unavailable server, or a wrong host, password or database.
NOT_READY_ERRORS = (OSError, Unavailable, asyncpg.PostgresError)


CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a transaction runs; a job has the ids of the request that caused it, and no principal."""

    principal: str = ""
    request_id: str = ""
    trace_id: str = ""


class TransactionConflict(Unavailable):
    """Two transactions were in each other's way and this one was rolled back; a route of a `Router` runs again."""

    title = "Transaction conflict"


@asynccontextmanager
async def _open(connection: Connection) -> AsyncGenerator[None]:
    """Say Unavailable for the use of a connection that was lost, which asyncpg reports as a misuse.

    One that did not answer in time is given up: cancelling, rolling back and releasing would each wait as well.
    """
    try:
        yield
    except TimeoutError:
        connection.terminate()
        raise
    except asyncpg.InterfaceError as error:
        if _is_lost(connection):
            raise Unavailable from error
        raise
    except asyncpg.InternalClientError as error:  # cut off just when the next statement was about to be sent
        connection.terminate()
        raise Unavailable from error


def _is_lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back already
        return True


async def _skip_reset(_connection: Connection) -> None:
    """Skip RESET: connections carry no session state."""


class Database:
    """The pool of one process; it opens its first connection when it is first needed."""

    def __init__(self, pool: Pool, pool_timeout: float) -> None:
        self.pool = pool
        self._pool_timeout = pool_timeout

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection without a transaction: no BEGIN and no COMMIT around a single read.

        Raises Unavailable when none is free within DATABASE_POOL_TIMEOUT or the database is unavailable, and
        TransactionConflict when the work was rolled back in favour of another's.
        """
        try:
            async with self.pool.acquire(timeout=self._pool_timeout) as connection, _open(connection):
                yield connection
        except CONFLICTS as error:
            raise TransactionConflict from error
        except UNAVAILABLE_ERRORS as error:
            raise Unavailable from error

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend a connection inside a transaction that commits when the block ends and rolls back when it raises."""
        async with self.connection() as connection, connection.transaction(), _open(connection):
            yield connection

    async def ready(self) -> bool:
        """Answer whether the database answers."""
        try:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")
        except NOT_READY_ERRORS:
            return False
        return True


@asynccontextmanager
async def open_database(settings: Settings, size: int | None = None) -> AsyncGenerator[Database]:
    """Open the pool with the limits of `settings`; an unavailable database does not fail the start.

    `size` is the most connections it may hold, instead of DATABASE_POOL_SIZE.
    """
    statement_timeout = f"{settings.database_statement_timeout}s"
    pool = asyncpg.create_pool(
        str(settings.database_url),
        min_size=0,
        max_size=size or settings.database_pool_size,
        timeout=settings.database_connect_timeout,
        # The server ends a slow statement first; ours is for a server that no longer answers.
        reset=_skip_reset,
        command_timeout=settings.database_statement_timeout + 1,
        server_settings={
            "statement_timeout": statement_timeout,
            "lock_timeout": statement_timeout,
            "idle_in_transaction_session_timeout": f"{settings.database_idle_timeout}s",
        },
    )
    await pool
    try:
        yield Database(pool, settings.database_pool_timeout)
    finally:
        await _close(pool)


async def _close(pool: Pool) -> None:
    """Close the connections; one that was lost during a statement may never be returned."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()
