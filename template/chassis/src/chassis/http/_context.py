"""The state of one request, which RequestContextMiddleware puts into its ASGI scope."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from fastapi import Response
from starlette.types import Scope

KEY = "chassis"


@dataclass(slots=True)
class RequestContext:
    """`principal` is empty until a policy has authenticated the caller, and for anonymous callers."""

    request_id: str
    principal: str = ""
    # Added to the response, also to an error.
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    # None without a body, or with one that was refused.
    body_bytes: int | None = None
    # The parsed body of a JSON request.
    json: object = None
    # Closed, with the transaction in it committed, before the response is sent.
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    # Stores the response under the Idempotency-Key, in the transaction of the request.
    keep: Callable[[Response], Awaitable[None]] | None = None


class EarlyResponse(Exception):
    """Ends the request with this response; what the route has opened is rolled back."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def context_of(scope: Scope) -> RequestContext:
    """Return the context of a scope that has passed RequestContextMiddleware."""
    context: RequestContext = scope[KEY]
    return context
