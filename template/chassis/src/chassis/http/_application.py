"""The ASGI application of a service: its routers behind the middleware, every error rendered as problem details."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from chassis.data import Database
from chassis.http._cors import cors
from chassis.http._openapi import complete
from chassis.http._policies import without_policy
from chassis.http._problems import add_problem_handlers, add_problem_schema
from chassis.http._rate_limit import RateLimitMiddleware
from chassis.http._request_body import RequestBodyMiddleware
from chassis.http._request_context import RequestContextMiddleware
from chassis.http._router import Route, Router
from chassis.http._routes import Routes
from chassis.identity import Authentication, allow_anonymous, refuse_everyone
from chassis.jobs import Outbox
from chassis.settings import EdgeSettings, StartError


class RouteInvalid(StartError):
    """A route is on no Router, which alone closes its transaction, or does not say which callers it admits."""


class Application(FastAPI):
    """The application with its problem details and headers in its OpenAPI document."""

    credential: str | None = None

    def openapi(self) -> dict[str, Any]:
        """Give the document, made once."""
        made = self.openapi_schema is not None
        document = super().openapi()
        if not made:
            add_problem_schema(document)
            complete(document, self.credential)
        return document


def create_application(
    info: Mapping[str, Any],
    routers: Iterable[Router],
    authentication: Authentication | None,
    edge: EdgeSettings,
    *,
    docs: bool = False,
) -> Application:
    """Make the application of these routers; `info` is that object of the OpenAPI document.

    It refuses all callers and its cursors are its own until `app.state` has the process's authentication and keys.

    Raises RouteInvalid.
    """
    app = Application(
        **info,
        openapi_url="/openapi.json" if docs else None,
        redirect_slashes=False,
        servers=[{"url": "/", "description": "Where this document comes from."}],
        middleware=[
            Middleware(RequestContextMiddleware, docs=docs),
            *cors(edge),
            Middleware(RateLimitMiddleware),
            Middleware(RequestBodyMiddleware, edge),
        ],
    )
    add_problem_handlers(app)
    own = len(app.routes)
    for router in routers:  # `include_router` would match each request once more for every level
        app.routes.extend(router.routes)
    app.credential = authentication.credential if authentication else None
    _check(app.routes[own:], with_policies=authentication is not None)
    app.state.authenticate = refuse_everyone if authentication else allow_anonymous
    app.state.signing_keys = [secrets.token_bytes(32)]
    app.state.routes = Routes(app.routes[own:])
    return app


def _check(routes: Sequence[BaseRoute], *, with_policies: bool) -> None:
    if with_policies and (missing := next(without_policy(routes), None)):
        raise RouteInvalid(f"no policy as the first parameter of {missing}: take `requires(...)` or `Public`")
    for route in iter_route_contexts(routes):
        if not isinstance(route.original_route, Route):
            raise RouteInvalid(f"{route.path} is on no `Router`: import it from chassis.http")


def connect(app: FastAPI, database: Database, outbox: Outbox) -> None:
    """Give the routes of an application their database and their outbox."""
    app.state.database = database
    app.state.outbox = outbox
