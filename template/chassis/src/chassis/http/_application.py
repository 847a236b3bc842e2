"""The ASGI application of a service: its routers, the middleware and the error handlers."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from chassis.data import Database
from chassis.http._cors import cors
from chassis.http._documentation import router as documentation
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
    """A route has no policy, the method and path of another, or no Router, which would commit its transaction."""


class Application(FastAPI):
    """An application whose OpenAPI document has problem details, shared headers and the credential."""

    credential: str | None = None

    def openapi(self) -> dict[str, Any]:
        """Return the document, which is generated once."""
        generated = self.openapi_schema
        document = super().openapi()
        if document is not generated:
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
    """Create an application of these routers; `info` is the info object of its OpenAPI document, served with `docs`.

    Until `app.state` has the `authenticate` and `signing_keys` of the process, a service with authentication refuses
    every caller, and cursors are signed with a random key. Raises RouteInvalid.
    """
    routes = [route for router in (*routers, *([documentation] if docs else [])) for route in router.routes]
    _check(routes, with_policies=authentication is not None)
    app = Application(
        **info,
        openapi_url=None,
        redirect_slashes=False,
        # RequestContextMiddleware makes the span; the framework's would contain paths and messages of errors.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        servers=[{"url": "/", "description": "Where this document comes from."}],
        middleware=[
            Middleware(RequestContextMiddleware, origins=edge.api_cors_origins),
            *cors(edge),
            Middleware(RateLimitMiddleware),
            Middleware(RequestBodyMiddleware, edge),
        ],
    )
    add_problem_handlers(app)
    app.routes.extend(routes)  # `include_router` would match each request once more per level
    app.credential = authentication.credential if authentication else None
    app.state.authenticate = refuse_everyone if authentication else allow_anonymous
    app.state.signing_keys = [secrets.token_bytes(32)]
    app.state.routes = Routes(routes)
    return app


def _check(routes: Sequence[BaseRoute], *, with_policies: bool) -> None:
    if with_policies and (missing := next(without_policy(routes), None)):
        raise RouteInvalid(f"no policy as the first parameter of {missing}: take `requires(...)` or `Public`")
    taken: dict[str, str] = {}
    for route in iter_route_contexts(routes):
        original = route.original_route
        if not isinstance(original, Route):
            raise RouteInvalid(f"{route.path} is on no `Router`: import it from chassis.http")
        name = f"{original.endpoint.__module__}.{original.name}"
        for method in sorted(route.methods or ()):
            place = f"{method} {re.sub(r'{\w+', '{', route.path or '')}"  # whatever its parameters are called
            if place in taken:
                raise RouteInvalid(f"{taken[place]} and {name} both have {method} {route.path}: change one path")
            taken[place] = name


def connect(app: FastAPI, database: Database, outbox: Outbox) -> None:
    """Set the database and the outbox that the routes use."""
    app.state.database = database
    app.state.outbox = outbox
