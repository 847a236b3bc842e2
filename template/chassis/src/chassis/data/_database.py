"""Connections and transactions: every wait on the database has a limit."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, cast

import asyncpg

from chassis.data._connect import connect
from chassis.data._outage import Outage
from chassis.data._pool import CLOSE_SECONDS, Connection, Lent, Pool, PoolExhausted
from chassis.data._traced import TracedLent, statement_span
from chassis.errors import Unavailable
from chassis.ops import is_recorded, metrics
from chassis.settings import Settings

# Raised when the server is stopped, restarting, frozen, overloaded, full or read-only, when tables do not exist, change
# under a statement or are not granted to the role, and by a pooler that does not track prepared statements.
UNAVAILABLE_ERRORS = (
    ConnectionError,
    TimeoutError,
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.UndefinedTableError,
)
# Of these, the ones that an available database raises, too: it has much to do.
BUSY_ERRORS = (PoolExhausted, asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)
# Raised as well when a connection is lost during use.
CONNECTION_ERRORS = (*UNAVAILABLE_ERRORS, asyncpg.InterfaceError)
# A rollback would take as long again, or a connection was lost just as a statement was being sent.
BROKEN = (TimeoutError, asyncpg.InternalClientError)
# A new connection may find the database writable, or another server that is.
CLOSING = (*BROKEN, asyncio.CancelledError, asyncpg.ReadOnlySQLTransactionError)
# The server rolled the transaction back in favour of another; a retry may succeed.
CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# An unavailable server, or a wrong host, password or database.
NOT_READY_ERRORS = (OSError, Unavailable, asyncpg.PostgresError)


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a transaction runs; a job has the ids of the request that caused it, but no principal.

    What the transaction causes continues the trace of `traceparent` (W3C Trace Context, section 3.2).
    """

    principal: str = ""
    request_id: str = ""
    traceparent: str = ""

    @property
    def trace_id(self) -> str:
        """The id of that trace; empty outside of one."""
        return self.traceparent[3:35]


class TransactionConflict(Unavailable):
    """The transaction was rolled back in favour of another; a `Router` runs the route again."""

    title = "Transaction conflict"


class Loan(AbstractAsyncContextManager[Connection]):
    """The use of one connection; a class, since nested generators would cost as much again as the loan."""

    def __init__(self, pool: Pool, outage: Outage, limits: str, *, is_transaction: bool) -> None:
        self._pool = pool
        self._outage = outage
        self._limits = limits
        self._is_transaction = is_transaction

    async def __aenter__(self) -> Connection:
        try:
            self._connection = await self._pool.acquire()
        except Exception as error:  # no name, no route, refused, or a wrong URL: nothing that the caller did
            self._note(error)
            raise Unavailable from error
        self._lent = TracedLent(self._connection) if is_recorded() else Lent(self._connection)
        if self._is_transaction:
            self._transaction = self._connection.transaction()
            try:
                await self._transaction.start()
                if self._limits:
                    await self._connection.execute(self._limits)
            except BaseException as error:
                self._give_back(error)
                raise
        return cast("Connection", self._lent)  # its user takes it for the connection itself

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._is_transaction and not isinstance(error, BROKEN):
            try:
                await self._end(self._transaction.rollback if error else self._transaction.commit)
            except BaseException as failure:
                self._give_back(failure)
                raise
        self._give_back(error)

    def _give_back(self, error: BaseException | None) -> None:
        """Release the connection. Raises TransactionConflict or Unavailable if that is what the error means."""
        is_lost = self._connection.is_closed()
        if isinstance(error, CLOSING):
            self._connection.terminate()
        self._lent.end()
        self._pool.release(self._connection, was_silent=isinstance(error, TimeoutError))
        if isinstance(error, CONFLICTS):
            raise TransactionConflict from error
        if isinstance(error, UNAVAILABLE_ERRORS) or (is_lost and isinstance(error, asyncpg.InterfaceError)):
            self._note(error)
            raise Unavailable from error
        if error is None:
            self._outage.succeed()

    async def _end(self, end: Callable[[], Awaitable[None]]) -> None:
        if not isinstance(self._lent, TracedLent):
            await end()
            return
        with statement_span(end.__name__.upper()):
            await end()

    def _note(self, error: BaseException) -> None:
        if not isinstance(error, BUSY_ERRORS):
            self._outage.fail(error)


class Database:
    """The pool of one process; it opens connections when they are needed."""

    def __init__(self, pool: Pool, limits: str = "") -> None:
        """Lend the connections of `pool`; `limits` is a statement that each transaction begins with."""
        self._pool = pool
        self._limits = limits
        self._outage = Outage()
        self._background: set[asyncio.Task[Any]] = set()

    def watch(self) -> None:
        """Log outages from now on, also one that there is already, and let the metrics show this database."""
        self._outage.is_logged = True
        metrics.DATABASE_AVAILABLE.set_function(lambda: self._outage.is_over)
        self._pool.observe()
        self.start(self.ready())

    def start[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start work in the background; it ends before the pool is closed."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def finish(self) -> None:
        """Wait for the work in the background, and cancel what takes long."""
        if self._background:
            _, left = await asyncio.wait(self._background, timeout=CLOSE_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection without a transaction, which saves a single read its BEGIN and COMMIT.

        Raises Unavailable if none is free within DATABASE_POOL_TIMEOUT or the database is unavailable, and
        TransactionConflict if the server rolled back in favour of another transaction.
        """
        return Loan(self._pool, self._outage, self._limits, is_transaction=False)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection in a transaction that commits when the block ends and rolls back when it raises."""
        return Loan(self._pool, self._outage, self._limits, is_transaction=True)

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement and return its rows."""
        async with self.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """Run one statement and return its first row."""
        async with self.connection() as connection:
            return await connection.fetchrow(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: object) -> Any:  # noqa: ANN401  # of any type
        """Run one statement and return the first value of its first row."""
        async with self.connection() as connection:
            return await connection.fetchval(statement, *arguments)

    async def execute(self, statement: str, *arguments: object) -> str:
        """Run one statement and return its command tag."""
        async with self.connection() as connection:
            return await connection.execute(statement, *arguments)

    async def ready(self) -> bool:
        """Return whether the database answers; with all connections in use, whether it did at last."""
        if self._pool.is_exhausted:
            return self._outage.is_over
        try:
            await self.fetchval("SELECT 1")
        except NOT_READY_ERRORS:
            return False
        return True


@asynccontextmanager
async def open_database(settings: Settings, size: int | None = None) -> AsyncGenerator[Database]:
    """Open a pool of at most `size` connections, by default DATABASE_POOL_SIZE; the database may be unavailable."""
    statement_timeout = f"{settings.database_statement_timeout}s"
    limits = {
        "statement_timeout": statement_timeout,
        "lock_timeout": statement_timeout,
        "idle_in_transaction_session_timeout": f"{settings.database_idle_timeout}s",
    }
    in_transactions = ""
    if settings.database_listen_url:  # a pooler in transaction mode refuses settings of a session
        in_transactions = "; ".join(f"SET LOCAL {name} = '{limit}'" for name, limit in limits.items())
    open_one = partial(
        connect,
        settings.database_url,
        settings,
        # The server cancels a slow statement first; this timeout is for a server that no longer answers.
        command_timeout=settings.database_statement_timeout + 1,
        server_settings={} if in_transactions else limits,
    )
    pool = Pool(open_one, size or settings.database_pool_size, settings.database_pool_timeout)
    database = Database(pool, in_transactions)
    try:
        yield database
    finally:
        await database.finish()
        await pool.close()
