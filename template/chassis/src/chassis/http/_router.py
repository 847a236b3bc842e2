"""The router of a module's `api`, and what each of its routes does around the function it calls."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, override

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from chassis.data import TransactionConflict
from chassis.http._context import context_of
from chassis.http._negotiation import negotiate
from chassis.http._openapi import answers_of

# Runs of a route whose transaction was rolled back in favour of another's.
ATTEMPTS = 3
PAUSE_SECONDS = 0.05

type Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class ParsedRequest(Request):
    """A request whose JSON body has been parsed already, strictly, by RequestBodyMiddleware."""

    @override
    async def json(self) -> Any:
        return context_of(self).json


class Route(APIRoute):
    """Documents all its answers, speaks JSON only, runs again after a conflict, stores an idempotent answer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # the framework's own
        super().__init__(*arguments, **options)
        self.responses = answers_of(self)

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Leave a path that another route has word for word to that one, so that its other methods are 405."""
        match, child = super().matches(scope)
        if match is not Match.NONE and "{" in self.path and scope["app"].state.routes.has_literal(scope["path"]):
            return Match.NONE, {}
        return match, child

    @override
    def get_route_handler(self) -> Handle:
        """Wrap what the framework makes, once for each attempt."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            request = ParsedRequest(request.scope, request.receive)
            await negotiate(self, request)
            for attempt in range(1, ATTEMPTS):
                try:
                    return await _run(handle, request)
                except TransactionConflict:
                    if _is_consumed(request):
                        raise
                    await asyncio.sleep(PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311  # spreads load
            return await _run(handle, request)

        return answer


async def _run(handle: Handle, request: Request) -> Response:
    """Run a route once; what it has opened is closed when this ends, its transaction committed or rolled back."""
    context = context_of(request)
    context.keep = None  # of the attempt before
    async with AsyncExitStack() as context.opened:
        response = await handle(request)
        if context.keep:
            await context.keep(response)
    return response


def _is_consumed(request: Request) -> bool:
    """Answer whether the body can be read once only: uploaded files are closed after the first run."""
    return request.headers.get("content-type", "").startswith("multipart/")


class Router(APIRouter):
    """A router for a module's `api`."""

    def __init__(self, prefix: str, *, tags: list[str]) -> None:
        super().__init__(prefix=prefix, tags=[*tags], route_class=Route, generate_unique_id_function=_name_operation)


def _name_operation(route: APIRoute) -> str:
    """Name an operation after its module and its function, as in `invoices_send`: clients are generated from it."""
    return f"{route.endpoint.__module__.split('.')[-2]}_{route.name}"
