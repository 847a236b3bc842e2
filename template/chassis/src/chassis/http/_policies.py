"""The policy of a route: which callers it admits, evaluated before the route opens a connection.

A module names its policies once, `type Reader = Annotated[Principal, requires("invoices:read")]`, and a route takes
`caller: Reader` as its first parameter. A route for everyone takes `_caller: Public`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase
from starlette.routing import BaseRoute

from chassis.errors import Forbidden, Unauthorized
from chassis.http._context import context_of
from chassis.http._deprecation import Notice
from chassis.http._openapi import documented, raises
from chassis.http._rate_limit import count_request
from chassis.identity import Principal
from chassis.ops import principal


class Policy(SecurityBase):
    """Admits callers with all these scopes."""

    def __init__(self, scopes: Sequence[str]) -> None:
        self.scopes = scopes
        self.model = HTTPBearer()
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> Principal:
        """Authenticate the caller. Raises Unauthorized, TooManyRequests or Forbidden."""
        caller: Principal = await request.app.state.authenticate(request, self.scopes)
        context = context_of(request.scope)
        if caller.subject != context.principal:  # counted once, not per attempt; anonymous callers are not counted
            context.principal = caller.subject
            principal.set(caller.subject)
            await count_request(request.scope, "principal", caller.subject)
        if missing := [scope for scope in self.scopes if scope not in caller.scopes]:
            raise Forbidden(self.scopes, missing)
        return caller


async def _allow_everyone() -> None:
    """Allow anonymous access."""


type Public = Annotated[None, Depends(_allow_everyone)]


def requires(*scopes: str) -> Any:  # noqa: ANN401  # as FastAPI's own
    """Create a policy that admits callers with all these scopes."""
    return Security(documented(raises(Unauthorized, Forbidden))(Policy(scopes)), scopes=scopes)


def without_policy(routes: Iterable[BaseRoute]) -> Iterator[str]:
    """Name the routes whose first dependency is not a policy: dependencies run in the order of the parameters."""
    for route in iter_route_contexts(list(routes)):
        dependencies = getattr(getattr(route, "dependant", None), "dependencies", [])
        calls = (each.call for each in dependencies if not isinstance(each.call, Notice))
        first = next(calls, None)
        if not (isinstance(first, Policy) or first is _allow_everyone):
            yield f"{' '.join(sorted(route.methods or ()))} {route.path}".strip()
