"""The connection pool: every wait on the database has a limit."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from chassis.errors import Unavailable
from chassis.settings import Settings

type Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
type Pool = asyncpg.Pool[asyncpg.Record]

# Raised when the server is stopped, restarting, frozen or overloaded, or when a table changes under a statement.
UNAVAILABLE_ERRORS = (
    ConnectionError,
    TimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
)
# Raised as well when a connection is lost during use.
CONNECTION_ERRORS = (*UNAVAILABLE_ERRORS, asyncpg.InterfaceError, asyncpg.InternalClientError)
# The server rolled the transaction back in favour of another; a retry may succeed.
CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# An unavailable server, or a wrong host, password or database.
NOT_READY_ERRORS = (OSError, Unavailable, asyncpg.PostgresError)

CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a transaction runs; a job has the ids of the request that caused it, but no principal."""

    principal: str = ""
    request_id: str = ""
    trace_id: str = ""


class TransactionConflict(Unavailable):
    """The transaction was rolled back in favour of another; a `Router` runs the route again."""

    title = "Transaction conflict"


@asynccontextmanager
async def _open(connection: Connection) -> AsyncGenerator[None]:
    """Raise Unavailable if the connection is lost, which asyncpg reports as an InterfaceError.

    A connection that timed out is terminated: cancelling, rolling back and releasing would each wait again.
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
    except asyncpg.InternalClientError as error:  # lost just as a statement was being sent
        connection.terminate()
        raise Unavailable from error


def _is_lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has already taken it back
        return True


async def _skip_reset(_connection: Connection) -> None:
    """Skip RESET: connections carry no session state."""


class Database:
    """The pool of one process; it opens connections when they are needed."""

    def __init__(self, pool: Pool, pool_timeout: float) -> None:
        self.pool = pool
        self._pool_timeout = pool_timeout

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Acquire a connection without a transaction, which saves a single read its BEGIN and COMMIT.

        Raises Unavailable if none is free within DATABASE_POOL_TIMEOUT or the database is unavailable, and
        TransactionConflict if the server rolled back in favour of another transaction.
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
        """Acquire a connection in a transaction that commits when the block ends and rolls back when it raises."""
        async with self.connection() as connection, connection.transaction(), _open(connection):
            yield connection

    async def ready(self) -> bool:
        """Return whether the database answers."""
        try:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")
        except NOT_READY_ERRORS:
            return False
        return True


@asynccontextmanager
async def open_database(settings: Settings, size: int | None = None) -> AsyncGenerator[Database]:
    """Open a pool of at most `size` connections, by default DATABASE_POOL_SIZE; the database may be unavailable."""
    statement_timeout = f"{settings.database_statement_timeout}s"
    pool = asyncpg.create_pool(
        str(settings.database_url),
        min_size=0,
        max_size=size or settings.database_pool_size,
        timeout=settings.database_connect_timeout,
        reset=_skip_reset,
        # The server cancels a slow statement first; this timeout is for a server that no longer answers.
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
        # A connection lost during a statement may never be released; a cancelled close() terminates the pool.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
