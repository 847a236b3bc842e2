"""The database in a route: a connection for reads, a transaction for writes, connections for a stream."""

from typing import Annotated

from fastapi import Depends, Request

from chassis.data import Caller, Connection, Database, TransactionConflict
from chassis.http._context import context_of
from chassis.http._openapi import documented, raises
from chassis.jobs import Outbox, Transaction
from chassis.ops import traceparent


async def _reading(request: Request) -> Connection:
    database: Database = request.app.state.database
    return await context_of(request.scope).opened.enter_async_context(database.connection())


@documented(raises(TransactionConflict))
async def open_transaction(request: Request) -> Transaction:
    """Open the transaction of a request, which its route commits before the response is sent."""
    outbox: Outbox = request.app.state.outbox
    context = context_of(request.scope)
    caller = Caller(context.principal, context.request_id, traceparent())
    return await context.opened.enter_async_context(outbox.transaction(caller))


async def _streaming(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


# A Router's route closes these before the response is sent, so the caller sees a commit that fails as an error.
type Reading = Annotated[Connection, Depends(_reading)]
type Writing = Annotated[Transaction, Depends(open_transaction)]
# For a streamed response: each part is read on a connection of its own.
type Streaming = Annotated[Database, Depends(_streaming)]
