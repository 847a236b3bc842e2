"""The ASGI application of a service: its routers behind the middleware, every error rendered as problem details."""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from chassis.data import Database
from chassis.http._cors import cors
from chassis.http._openapi import complete
from chassis.http._policies import without_policy
from chassis.http._problems import PROBLEM_RESPONSES, add_problem_handlers, add_problem_schema
from chassis.http._rate_limit import RateLimitMiddleware
from chassis.http._request_body import RequestBodyMiddleware
from chassis.http._request_context import RequestContextMiddleware
from chassis.http._routes import Routes
from chassis.identity import Authentication, allow_anonymous, refuse_everyone
from chassis.jobs import Outbox
from chassis.settings import EdgeSettings, StartError


class PolicyMissing(StartError):
    """A route does not say which callers it admits."""


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
    routers: Iterable[APIRouter],
    authentication: Authentication | None,
    edge: EdgeSettings,
    *,
    docs: bool = False,
) -> Application:
    """Make the application of these routers; `info` is that object of the OpenAPI document.

    It refuses all callers and its cursors are its own until `app.state` has the process's authentication and keys.

    Raises PolicyMissing, in a service with authentication.
    """
    app = Application(
        **info,
        openapi_url="/openapi.json" if docs else None,
        redirect_slashes=False,
        responses=PROBLEM_RESPONSES,
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
    for router in routers:
        app.include_router(router)
    if authentication:
        app.credential = authentication.credential
        if missing := next(without_policy(app.routes[own:]), None):
            raise PolicyMissing(f"no policy as the first parameter of {missing}: take `requires(...)` or `Public`")
    app.state.authenticate = refuse_everyone if authentication else allow_anonymous
    app.state.signing_keys = [secrets.token_bytes(32)]
    app.state.routes = Routes(app.routes[own:])
    return app


def connect(app: FastAPI, database: Database, outbox: Outbox) -> None:
    """Give the routes of an application their database and their outbox."""
    app.state.database = database
    app.state.outbox = outbox
