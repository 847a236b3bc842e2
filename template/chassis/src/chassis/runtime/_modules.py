"""Finds the modules of a service, loads what each offers, and checks it.

Every package under `modules/` is a module; there is no list. It may offer `api.router`, HANDLERS, SCHEDULES and
SUBSCRIPTIONS in `handlers`, `settings.Settings`, `messages` (its events and tasks) and `migrations/`.
"""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import cast

from chassis.http import Router
from chassis.jobs import Handler, Schedule, Subscription, Task
from chassis.settings import EnvironmentSettings, StartError

LISTS = ("HANDLERS", "SCHEDULES", "SUBSCRIPTIONS")


class ModuleError(StartError):
    """A module is invalid; the message says where and how to correct it."""


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    package: str
    router: Router | None
    handlers: tuple[Handler, ...]
    schedules: tuple[Schedule, ...]
    subscriptions: tuple[Subscription, ...]
    tasks: tuple[type[Task], ...]
    settings: type[EnvironmentSettings] | None
    migrations: Path | None


def discover(package: str) -> tuple[Module, ...]:
    """Load every package below `package`, in the order of their names. Raises ModuleError."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    names = sorted(info.name for info in found if info.ispkg)
    return tuple(load_module(f"{package}.{name}") for name in names)


def load_module(package: str) -> Module:
    """Load one module by its dotted name. Raises ModuleError if a file does not offer what it must."""
    messages = _file(package, "messages")
    settings = _offered(package, "settings", "Settings", type)
    if settings and not issubclass(settings, EnvironmentSettings):
        raise ModuleError(f"{package}.settings: Settings must derive from EnvironmentSettings")
    if (file := _file(package, "handlers")) and not any(hasattr(file, name) for name in LISTS):
        raise ModuleError(f"{package}.handlers must offer one of {', '.join(LISTS)}, of type list")
    directory = Path(next(iter(importlib.import_module(package).__path__))) / "migrations"
    return Module(
        name=package.rpartition(".")[2],
        package=package,
        router=_offered(package, "api", "router", Router),
        handlers=_listed(package, "HANDLERS", Handler, "`handle(Message, function)` or `handle_without_transaction`"),
        schedules=_listed(package, "SCHEDULES", Schedule, "`cron(expression, Task)`"),
        subscriptions=_listed(package, "SUBSCRIPTIONS", Subscription, "`subscribe(type, Event, function)`"),
        tasks=tuple(value for value in vars(messages).values() if _is_task_of(messages, value)) if messages else (),
        settings=settings,
        migrations=directory if directory.is_dir() else None,
    )


def check(modules: Sequence[Module], settings: Sequence[type[EnvironmentSettings]] = ()) -> None:
    """Check that the modules fit together, and the settings of all. Raises ModuleError."""
    if name := _repeated(module.name for module in modules):
        raise ModuleError(f"two modules are called {name}: rename one of the packages")
    if name := _repeated(handler.name for handler in handlers_of(modules)):
        raise ModuleError(f"two handlers are called {name}: rename one of the functions")
    if name := _repeated(name for kind in settings for name in kind.model_fields):
        *_, first, last = (f"{kind.__module__}.{kind.__name__}" for kind in settings if name in kind.model_fields)
        raise ModuleError(f"{first} and {last} both have {name.upper()}: rename the field of one")
    handled = [handler.message for handler in handlers_of(modules)]
    for module in modules:
        # Module names are prefixes of tables and migrations.
        if module.name.startswith("chassis"):
            raise ModuleError(f"the module {module.name} has a name of the chassis: rename its package")
        for task in module.tasks:
            if (count := handled.count(task)) != 1:
                raise ModuleError(f"{module.name}.{task.__name__} has {count} handlers: a task has one")
        for schedule in module.schedules:
            if any(field.is_required() for field in schedule.task.model_fields.values()):
                raise ModuleError(f"{schedule.name} is scheduled: give each of its fields a default")


def _repeated(names: Iterable[str]) -> str | None:
    """Return a name that is there more than once."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def handlers_of(modules: Iterable[Module]) -> tuple[Handler, ...]:
    modules = tuple(modules)
    subscribed = (subscription.handler for subscription in subscriptions_of(modules))
    return (*(handler for module in modules for handler in module.handlers), *subscribed)


def subscriptions_of(modules: Iterable[Module]) -> tuple[Subscription, ...]:
    return tuple(subscription for module in modules for subscription in module.subscriptions)


def schedules_of(modules: Iterable[Module]) -> tuple[Schedule, ...]:
    return tuple(schedule for module in modules for schedule in module.schedules)


def _listed[T](package: str, name: str, kind: type[T], form: str) -> tuple[T, ...]:
    offered = cast("list[object]", _offered(package, "handlers", name, list, []) or [])
    items = tuple(item for item in offered if isinstance(item, kind))
    if len(items) < len(offered):
        raise ModuleError(f"{package}.handlers: each of {name} must be {form}")
    return items


def _file(package: str, name: str) -> ModuleType | None:
    return importlib.import_module(f"{package}.{name}") if find_spec(f"{package}.{name}") else None


def _offered[T](package: str, file: str, name: str, kind: type[T], default: T | None = None) -> T | None:
    """Return an attribute of a module's file, or None if the module does not have the file."""
    module = _file(package, file)
    if module is None:
        return None
    value = getattr(module, name, default)
    if not isinstance(value, kind):
        raise ModuleError(f"{package}.{file} must offer `{name}`, of type {kind.__name__}")
    return value


def _is_task_of(messages: ModuleType, value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Task) and value.__module__ == messages.__name__
