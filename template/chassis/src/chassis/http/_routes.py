"""The routes of the application by their full paths, also those of nested routers."""

from collections.abc import Iterable

from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Scope

from chassis.ops import metrics


class Routes:
    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        found = iter_route_contexts(list(routes))
        self._routes = [route for route in found if isinstance(route.original_route, APIRoute)]
        self._literals = {route.path for route in self._routes if "{" not in (route.path or "")}
        self._by_identity: dict[int, list[RouteContext]] = {}
        for route in self._routes:
            self._by_identity.setdefault(id(route.original_route), []).append(route)

    def methods_at(self, path: str) -> set[str]:
        """Collect the methods of all routes at this path; the framework has only those of the first."""
        if self.has_literal(path):
            here = [route for route in self._routes if route.path == path]
        else:
            here = [route for route in self._routes if route.path_regex.match(path)]
        return {method for route in here for method in route.methods or ()}

    def has_literal(self, path: str) -> bool:
        """Tell whether a route has exactly this path, without parameters."""
        return path in self._literals

    def template_of(self, scope: Scope) -> str:
        """Return the path template of the route that the framework has chosen, or `unmatched`."""
        matched = self._by_identity.get(id(scope.get("route")), [])
        if len(matched) > 1:  # its router is included more than once
            matched = [route for route in matched if route.path_regex.match(scope["path"])]
        return matched[0].path or "" if matched else metrics.UNMATCHED
