"""The definition of a service: its fields, and what the processes derive from them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import chassis
from chassis.data import Database
from chassis.http import Application, create_application, tracked_jobs
from chassis.identity import Authenticate, Authentication, allow_anonymous
from chassis.jobs import TrackedTask, Transport
from chassis.ops import TelemetrySettings, recording, version_of
from chassis.runtime._modules import Module, ModuleError, check, discover, handlers_of, load_module, subscriptions_of
from chassis.settings import ApiSecrets, EdgeSettings, EnvironmentSettings, HttpClientSettings, Settings, load


@dataclass(frozen=True)
class ServiceDefinition:
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
        return version_of(self.name)

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """The modules, loaded once and checked. Raises ModuleError."""
        modules = tuple(map(load_module, self.only)) or discover(f"{self.import_name}.modules")
        check(modules, self._settings_with(modules))
        if not self.events and (subscriptions := subscriptions_of(modules)):
            raise ModuleError(f"{subscriptions[0].handler.name} subscribes to events: set `events` of the service")
        return modules

    @property
    def migrations(self) -> Mapping[str, Path]:
        """The folder of migrations of each owner of tables, those of the chassis first."""
        owners = {f"chassis_{room}": Path(chassis.__path__[0]) / room / "migrations" for room in ("jobs", "http")}
        owners |= self.auth.migrations if self.auth else {}
        owners |= self.events.migrations if self.events else {}
        return owners | {module.name: module.migrations for module in self.modules if module.migrations}

    @property
    def settings(self) -> Sequence[type[EnvironmentSettings]]:
        """The settings classes, those of the chassis first."""
        return self._settings_with(self.modules)

    def _settings_with(self, modules: Sequence[Module]) -> Sequence[type[EnvironmentSettings]]:
        kinds: list[type[EnvironmentSettings]] = [
            Settings,
            ApiSecrets,
            EdgeSettings,
            HttpClientSettings,
            TelemetrySettings,
        ]
        kinds += self.auth.settings if self.auth else ()
        kinds += self.events.settings if self.events else ()
        return [*kinds, *(module.settings for module in modules if module.settings)]

    def create_api(self, *, docs: bool = False, edge: EdgeSettings | None = None) -> Application:
        """Create the application, not yet connected to its database. Raises RouteInvalid."""
        routers = [module.router for module in self.modules if module.router]
        if any(issubclass(handler.message, TrackedTask) for handler in handlers_of(self.modules)):
            routers.append(tracked_jobs)
        info = {"title": self.title, "description": self.description, "version": self.version}
        return create_application(info, routers, self.auth, edge or load(EdgeSettings), docs=docs)

    def recording(self, process: str) -> AbstractAsyncContextManager[None]:
        """Export the spans of a process."""
        return recording(
            {
                "service.name": self.name,
                "service.version": self.version,
                "service.instance.id": str(uuid4()),
                "chassis.process": process,
            }
        )

    def authenticating(self, database: Database) -> AbstractAsyncContextManager[Authenticate]:
        """Start the authentication for the lifetime of a process."""
        return self.auth.open(database) if self.auth else nullcontext(allow_anonymous)


def describe(service: str, process: str, build: Mapping[str, str]) -> Mapping[str, str]:
    """Return what `/info` says of a process that starts now."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"service": service, "process": process, "started_at": started, **build}
