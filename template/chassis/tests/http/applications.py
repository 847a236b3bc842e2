"""Applications of routers that a test has made."""

from chassis.http import Application, Router, create_application
from chassis.identity.oidc import oidc
from chassis.settings import EdgeSettings, load

INFO = {"title": "Test", "version": "1"}


def application_of(*routers: Router, docs: bool = False, edge: EdgeSettings | None = None) -> Application:
    """Make the application of these routers as a service with authentication makes it, not yet connected."""
    return create_application(INFO, routers, oidc, edge or load(EdgeSettings), docs=docs)
