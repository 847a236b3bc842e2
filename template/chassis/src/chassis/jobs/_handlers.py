"""Handlers, and what one that runs outside of a transaction is given."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chassis.data import Caller
from chassis.jobs._messages import Message, Payload
from chassis.jobs._queue import Claimed, check_claim
from chassis.jobs._transactions import Transaction

type Begin = Callable[[Caller], AbstractAsyncContextManager[Transaction]]


class Job:
    """One attempt at a job, for a handler that is called outside of a transaction and opens those it needs."""

    def __init__(self, begin: Begin, claimed: Claimed, caller: Caller) -> None:
        self.attempt = claimed.attempt
        self.name = claimed.handler
        self.message_id = claimed.message_id
        self.caller = caller
        self._begin = begin
        self._claimed = claimed
        self._keys: set[str] = set()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Open a transaction, which is rolled back when another worker has claimed the job.

        Raises ClaimLost, which ends the attempt. An earlier attempt may have committed some of its transactions, so
        each must find out by itself what is done already.
        """
        async with self._begin(self.caller) as transaction:
            yield transaction
            await check_claim(transaction.connection, self._claimed)

    def key_for(self, name: str) -> str:
        """Return an idempotency key for a call to another service, the same in each attempt.

        Raises ValueError for a name that this attempt has used: the call would be taken for a repetition.
        """
        if name in self._keys:
            raise ValueError(f"{self.name} did {name} before in this attempt: give each a key of its own")
        self._keys.add(name)
        return f"{self.message_id}:{self.name}:{name}"


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that reacts to one type of message; its jobs have its name."""

    message: type[Payload]
    run: Callable[[Any, Transaction], Awaitable[None]] | Callable[[Any, Job], Awaitable[None]]
    without_transaction: bool = False
    given_name: str | None = None

    def __post_init__(self) -> None:
        if self.given_name is not None and not re.fullmatch(r"\w+\.\w+", self.given_name):
            raise ValueError(f"the name of a handler is of the form `invoices.send`, and not {self.given_name!r}")

    @property
    def name(self) -> str:
        """The name that was given, or else the module and the function, as in `invoices.send`."""
        return self.given_name or f"{self.run.__module__.split('.')[-2]}.{self.run.__name__}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """Events of another service, by their CloudEvents type, and the handler whose jobs they become."""

    event_type: str
    handler: Handler


def handle[M: Message](
    message: type[M], function: Callable[[M, Transaction], Awaitable[None]], *, name: str | None = None
) -> Handler:
    """Pair a message with the function that handles it, for the HANDLERS list of a module's `handlers`.

    A function that was renamed or moved needs the `name` that its jobs had before, for example `invoices.send`.
    """
    return Handler(message, function, given_name=name)


def handle_without_transaction[M: Message](
    message: type[M], function: Callable[[M, Job], Awaitable[None]], *, name: str | None = None
) -> Handler:
    """Pair a message with a function that calls others, during which no transaction should be open.

    What it calls may be called again: it sends the message's id along as an idempotency key.
    """
    return Handler(message, function, without_transaction=True, given_name=name)
