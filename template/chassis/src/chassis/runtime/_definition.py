"""What `service.py` says of a service, and what the processes make of that."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import chassis.http
import chassis.jobs
from chassis.data import Database
from chassis.http import Application, Router, create_application, tracked_jobs
from chassis.identity import Authenticate, Authentication, allow_anonymous
from chassis.jobs import TrackedTask, Transport
from chassis.runtime._modules import Module, check, discover, handlers_of, load_module
from chassis.settings import (
    ApiSecrets,
    EdgeSettings,
    EnvironmentSettings,
    HttpClientSettings,
    Settings,
    load,
)


@dataclass(frozen=True)
class ServiceDefinition:
    """The fields of a `Service`, and what follows from them."""

    name: str
    title: str
    description: str
    auth: Authentication | None = None
    events: Transport | None = None
    package: str = ""
    # Packages to load as modules, instead of all below `<package>.modules`.
    only: Sequence[str] = ()

    @property
    def import_name(self) -> str:
        return self.package or self.name.replace("-", "_")

    @property
    def version(self) -> str:
        """The version of the installed distribution; 0 when it is not installed."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return "0"

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """The modules, loaded once and checked. Raises ModuleError."""
        if self.only:
            modules = tuple(map(load_module, self.only))
            check(modules)
            return modules
        return discover(f"{self.import_name}.modules")

    @property
    def migrations(self) -> Mapping[str, Path]:
        """The folder of migrations of each owner of tables, the chassis's first."""
        rooms = {"chassis_jobs": chassis.jobs, "chassis_http": chassis.http}
        owners = {owner: Path(room.__path__[0]) / "migrations" for owner, room in rooms.items()}
        owners |= self.auth.migrations if self.auth else {}
        return owners | {module.name: module.migrations for module in self.modules if module.migrations}

    @property
    def settings(self) -> Sequence[type[EnvironmentSettings]]:
        """The classes of settings, the chassis's first."""
        kinds: list[type[EnvironmentSettings]] = [Settings, ApiSecrets, EdgeSettings, HttpClientSettings]
        kinds += self.auth.settings if self.auth else ()
        kinds += self.events.settings if self.events else ()
        return [*kinds, *(module.settings for module in self.modules if module.settings)]

    def create_api(self, *, docs: bool = False, edge: EdgeSettings | None = None) -> Application:
        """Make the application, not yet connected to its database. Raises RouteInvalid."""
        info = {"title": self.title, "description": self.description, "version": self.version}
        return create_application(info, self._routers(), self.auth, edge or load(EdgeSettings), docs=docs)

    @asynccontextmanager
    async def authenticating(self, database: Database) -> AsyncGenerator[Authenticate]:
        """Open the authentication for the length of a process."""
        if self.auth is None:
            yield allow_anonymous
        else:
            async with self.auth.open(database) as authenticate:
                yield authenticate

    def _routers(self) -> Sequence[Router]:
        routers = [module.router for module in self.modules if module.router]
        is_tracking = any(issubclass(handler.message, TrackedTask) for handler in handlers_of(self.modules))
        return [*routers, tracked_jobs] if is_tracking else routers
