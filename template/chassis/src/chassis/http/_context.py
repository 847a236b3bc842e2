"""What is known of one request, kept in its ASGI scope from the first middleware on."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from fastapi import Request, Response
from starlette.types import Scope

from chassis.data import Caller

KEY = "chassis"


@dataclass(slots=True)
class RequestContext:
    """The ids of a request, its principal once a policy has found it, and what its answer still waits for."""

    request_id: str
    trace_id: str
    principal: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    # The parsed body, where it is JSON.
    json: object = None
    # What the route has opened; it is closed, and a transaction committed, before the answer leaves.
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    # Stores the answer under the request's Idempotency-Key, in the transaction of its effect.
    keep: Callable[[Response], Awaitable[None]] | None = None

    @property
    def caller(self) -> Caller:
        """On whose behalf the transactions of the request run."""
        return Caller(self.principal, self.request_id, self.trace_id)

    def add_headers(self, headers: Sequence[tuple[str, str]]) -> None:
        """Add fields to the answer, also to that of an error."""
        self.headers += headers


def context_of(request: Request) -> RequestContext:
    """Give the context of a request."""
    return scope_context(request.scope)


def scope_context(scope: Scope) -> RequestContext:
    """Give the context of a scope that has passed RequestContextMiddleware."""
    context: RequestContext = scope[KEY]
    return context
