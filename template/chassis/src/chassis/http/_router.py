"""The router of a module's `api`; its routes negotiate JSON, commit, and run again after a conflict."""

import asyncio
import random
import re
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, override

from fastapi import APIRouter, Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from chassis.data import TransactionConflict
from chassis.errors import NotAcceptable, UnsupportedMediaType
from chassis.http._context import context_of
from chassis.http._openapi import answers_of
from chassis.http._request_body import is_json

# The number of times a route runs while its transaction conflicts with others.
ATTEMPTS = 3
PAUSE_SECONDS = 0.05

type Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class ParsedRequest(Request):
    """A request whose JSON body RequestBodyMiddleware has parsed."""

    @override
    async def json(self) -> Any:
        return context_of(self.scope).json


class Route(APIRoute):
    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # the framework's own
        super().__init__(*arguments, **options)
        self.responses = answers_of(self)

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Leave a path to the route that has it without parameters, so that its other methods are answered with 405."""
        match, child = super().matches(scope)
        if match is not Match.NONE and "{" in self.path and scope["app"].state.routes.has_literal(scope["path"]):
            return Match.NONE, {}
        return match, child

    @override
    def get_route_handler(self) -> Handle:
        handle = super().get_route_handler()
        takes_json = self.body_field and not isinstance(self.body_field.field_info, Form)
        gives_json = isinstance(self.response_class, DefaultPlaceholder)

        async def answer(request: Request) -> Response:
            request = ParsedRequest(request.scope, request.receive)
            if takes_json and not is_json(request.headers.get("content-type", "")) and await request.body():
                raise UnsupportedMediaType
            if gives_json and not _accepts_json(",".join(request.headers.getlist("accept")) or "*/*"):
                raise NotAcceptable
            for attempt in range(1, ATTEMPTS):
                try:
                    return await _run(handle, request)
                except TransactionConflict:
                    if request.headers.get("content-type", "").lower().startswith("multipart/"):
                        raise  # the uploaded files are closed after the first run
                    await asyncio.sleep(PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311  # spreads load
            return await _run(handle, request)

        return answer


async def _run(handle: Handle, request: Request) -> Response:
    """Run a route once; this closes what it has opened, and so commits or rolls back its transaction."""
    context = context_of(request.scope)
    async with AsyncExitStack() as context.opened:
        response = await handle(request)
        if context.keep:
            await context.keep(response)
    return response


def _accepts_json(accept: str) -> bool:
    """Tell whether the most specific range that matches JSON has a weight above 0 (RFC 9110, section 12.5.1)."""
    if accept == "*/*":
        return True
    ranges = {kind.strip().lower(): weight for kind, _, weight in (part.partition(";") for part in accept.split(","))}
    for kind in ("application/json", "application/*", "*/*"):
        if kind in ranges:
            return not re.search(r"q=0(\.0*)?\s*(;|$)", ranges[kind])
    return False


class Router(APIRouter):
    """The router that a module's `api` offers as `router`."""

    def __init__(self, prefix: str, *, tags: list[str]) -> None:
        super().__init__(prefix=prefix, tags=[*tags], route_class=Route, generate_unique_id_function=_name_operation)


def _name_operation(route: APIRoute) -> str:
    """Name an operation after its module and function, `invoices_send`: generated clients use the name."""
    return f"{route.endpoint.__module__.split('.')[-2]}_{route.name}"
