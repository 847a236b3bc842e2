"""The database in a route: a connection to read, a transaction to write, one that an Idempotency-Key protects."""

from collections.abc import AsyncGenerator
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


async def _reading(request: Request) -> AsyncGenerator[Connection]:
    async with request.app.state.database.connection() as connection:
        yield connection


@documented(raises(TransactionConflict))
async def _writing(request: Request) -> AsyncGenerator[Transaction]:
    async with request.app.state.outbox.transaction(context_of(request).caller) as transaction:
        yield transaction


@documented(
    sends("Idempotency-Replayed"),
    raises(TransactionConflict, IdempotencyKeyRequired, IdempotencyKeyInvalid, IdempotencyKeyReused),
)
async def _idempotent(request: Request, idempotency_key: IdempotencyKey = None) -> AsyncGenerator[Transaction]:
    async with request.app.state.outbox.transaction(context_of(request).caller) as transaction:
        # The route stores its answer under the claim, before the transaction commits.
        request.scope["claim"] = await claim(transaction.connection, request, idempotency_key)
        yield transaction


async def _streaming(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


# Function scope ends the transaction before the answer leaves: a commit that fails is an error the caller sees.
type Reading = Annotated[Connection, Depends(_reading, scope="function")]
type Writing = Annotated[Transaction, Depends(_writing, scope="function")]
# As Writing, and the caller must send an Idempotency-Key: for a POST that creates something, on a Router.
type IdempotentTransaction = Annotated[Transaction, Depends(_idempotent, scope="function")]
# For an answer that is a stream, which is read part by part, each with a connection of its own.
type Streaming = Annotated[Database, Depends(_streaming)]
