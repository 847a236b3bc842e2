"""The database in a route: a connection to read, a transaction to write, one that an Idempotency-Key protects."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated

from fastapi import Depends, Request

from chassis.data import Connection, Database, TransactionConflict
from chassis.http._context import context_of
from chassis.http._idempotency import (
    IdempotencyKey,
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    claim,
)
from chassis.http._openapi import documented, raises, sends
from chassis.jobs import Transaction


async def _reading(request: Request) -> Connection:
    connection: AbstractAsyncContextManager[Connection] = request.app.state.database.connection()
    return await context_of(request).opened.enter_async_context(connection)


@documented(raises(TransactionConflict))
async def _writing(request: Request) -> Transaction:
    context = context_of(request)
    transaction: AbstractAsyncContextManager[Transaction] = request.app.state.outbox.transaction(context.caller)
    return await context.opened.enter_async_context(transaction)


@documented(
    sends("Idempotency-Replayed"),
    raises(TransactionConflict, IdempotencyKeyRequired, IdempotencyKeyInvalid, IdempotencyKeyReused),
)
async def _idempotent(request: Request, idempotency_key: IdempotencyKey = None) -> Transaction:
    transaction = await _writing(request)
    claimed = await claim(transaction.connection, request, idempotency_key)
    context_of(request).keep = claimed.keep
    return transaction


async def _streaming(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


# A route of a Router closes what these open before its answer leaves: a commit that fails is an error the caller sees.
type Reading = Annotated[Connection, Depends(_reading)]
type Writing = Annotated[Transaction, Depends(_writing)]
# As Writing, and the caller must send an Idempotency-Key: for a POST that creates something.
type IdempotentTransaction = Annotated[Transaction, Depends(_idempotent)]
# For an answer that is a stream, which is read part by part, each with a connection of its own.
type Streaming = Annotated[Database, Depends(_streaming)]
