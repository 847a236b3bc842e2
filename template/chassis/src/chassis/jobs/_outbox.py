"""The transactional outbox: a message becomes jobs in the transaction that caused it, or not at all."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

from chassis.data import Caller, Connection, Database
from chassis.jobs._messages import Message, Task, TrackedTask
from chassis.jobs._queue import Claim, check_claim, queries

NOW = timedelta(0)
NOBODY = Caller()


class Transaction:
    """One database transaction, on whose behalf it runs, and the messages that leave with it."""

    def __init__(self, connection: Connection, caller: Caller, jobs: dict[type[Message], list[str]]) -> None:
        self.connection = connection
        self.caller = caller
        self._jobs = jobs

    async def publish(self, *messages: Message) -> None:
        """Queue one job for each handler of each message, in one statement of this transaction."""
        await self._queue(messages)

    async def enqueue(self, task: Task, *, delay: timedelta = NOW, key: str | None = None) -> bool:
        """Queue a task to run in `delay`, or not when one with this key is waiting or running; answer whether it was.

        Without a key there may be any number.
        """
        return await self._queue([task], delay, key)

    async def _queue(self, messages: Sequence[Message], delay: timedelta = NOW, key: str | None = None) -> bool:
        jobs = [(name, message) for message in messages for name in self._jobs.get(type(message), ())]
        if not jobs:
            return False
        delays: list[timedelta | None] = [delay] * len(jobs)
        ids = await queries(AsyncpgDriver(self.connection)).enqueue(  # type: ignore[arg-type]  # a lent connection is one too
            [name for name, _ in jobs],
            [message.model_dump_json().encode() for _, message in jobs],
            [message.delivery.priority for _, message in jobs],
            delays,
            [None if key is None else f"{name}:{key}" for name, _ in jobs],
            [_headers(message, self.caller) for _, message in jobs],
            on_conflict="skip",
        )
        return None not in ids


def _headers(message: Message, caller: Caller) -> dict[str, str]:
    """Say what a worker has to know before it reads the payload."""
    headers = {"request_id": caller.request_id, "trace_id": caller.trace_id, "version": str(message.delivery.version)}
    if message.ordering_key is not None:
        headers["ordering_key"] = message.ordering_key
    if isinstance(message, TrackedTask):
        headers["tracked"] = str(message.id)
    return headers


type Begin = Callable[[Caller], AbstractAsyncContextManager[Transaction]]


class Job:
    """One run of a job, for a handler that is called outside of a transaction and opens those it needs."""

    def __init__(self, begin: Begin, claim: Claim, name: str, message_id: UUID, caller: Caller) -> None:
        self.attempt = claim.run
        self.name = name
        self.message_id = message_id
        self.caller = caller
        self._begin = begin
        self._claim = claim
        self._keys: set[str] = set()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Open a transaction, which is rolled back when another worker has claimed the job.

        Raises ClaimLost, which ends the run. A run that broke off may have committed some of its transactions, so
        each must find out by itself what is done already.
        """
        async with self._begin(self.caller) as transaction:
            yield transaction
            await check_claim(transaction.connection, self._claim)

    def key_for(self, name: str) -> str:
        """Name something that others are asked to do, alike in each run, so that they know what comes again.

        Raises ValueError for a name that this run has used: it would be taken for what came before.
        """
        if name in self._keys:
            raise ValueError(f"{self.name} did {name} before in this run: give each a key of its own")
        self._keys.add(name)
        return f"{self.message_id}:{self.name}:{name}"


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that reacts to one type of message; `name` is its job's name on the queue."""

    message: type[Message]
    run: Callable[[Any, Transaction], Awaitable[None]] | Callable[[Any, Job], Awaitable[None]]
    without_transaction: bool = False

    @property
    def name(self) -> str:
        """The module and the function, as in `invoices.send`: renaming either strands the jobs already queued."""
        return f"{self.run.__module__.split('.')[-2]}.{self.run.__name__}"


def handle[M: Message](message: type[M], function: Callable[[M, Transaction], Awaitable[None]]) -> Handler:
    """Pair a message with the function that handles it, for the HANDLERS list of a module's `handlers`."""
    return Handler(message, function)


def handle_without_transaction[M: Message](message: type[M], function: Callable[[M, Job], Awaitable[None]]) -> Handler:
    """Pair a message with a function that calls others, during which no transaction should be open.

    What it calls may be called again: it sends the message's id along as an idempotency key.
    """
    return Handler(message, function, without_transaction=True)


class Outbox:
    """Opens the transactions of one process and knows which handlers its messages have."""

    def __init__(self, database: Database, handlers: Iterable[Handler]) -> None:
        self._database = database
        self._jobs: dict[type[Message], list[str]] = {}
        for handler in handlers:
            self._jobs.setdefault(handler.message, []).append(handler.name)

    @asynccontextmanager
    async def transaction(self, caller: Caller = NOBODY) -> AsyncGenerator[Transaction]:
        """Open a transaction; it commits when the block ends and rolls back, jobs included, when it raises."""
        async with self._database.transaction() as connection:
            yield Transaction(connection, caller, self._jobs)
