"""The conventions of a service, as tests that its own suite imports by name."""

import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import iscoroutinefunction
from pathlib import Path
from typing import cast

import asyncpg
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from chassis.data import Database
from chassis.data.migration import migrate
from chassis.dev import messages
from chassis.dev.project import project_folder
from chassis.http import without_policy
from chassis.runtime import Module, Service, handlers_of
from chassis.settings import Settings

__all__ = [
    "test_a_domain_imports_the_standard_library_and_errors_only",
    "test_every_function_in_handlers_is_listed",
    "test_every_recorded_payload_has_a_handler_that_reads_it",
    "test_every_route_has_a_policy",
    "test_every_statement_prepares_on_the_migrated_schema",
    "test_every_table_has_an_owner_and_no_foreign_key_crosses_owners",
    "test_modules_have_the_same_file_names",
    "test_no_name_is_meaningless",
    "test_the_settings_are_in_the_example",
]

FILES_OF_A_MODULE = frozenset(
    [
        "__init__",
        "api",
        "domain",
        "gateway",
        "handlers",
        "messages",
        "persistence",
        "public",
        "seeds",
        "service",
        "settings",
    ]
)
MEANINGLESS = frozenset({"base", "common", "core", "helpers", "manager", "utils"})
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
FOREIGN_KEYS = """
    SELECT conname, conrelid::regclass::text AS child, confrelid::regclass::text AS parent
    FROM pg_constraint WHERE contype = 'f'
"""


def test_every_route_has_a_policy(service: Service) -> None:
    routes = [route for module in service.modules if module.router for route in module.router.routes]
    assert service.auth is None or list(without_policy(routes)) == []


async def test_every_statement_prepares_on_the_migrated_schema(service: Service, database: Database) -> None:
    async with database.connection() as connection:
        for name, statement in statements_of(service.modules):
            assert "*" not in statement, f"{name}: name the columns, the running release outlives the next migration"
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as error:
                raise AssertionError(f"{name}: {error}") from error


async def test_every_table_has_an_owner_and_no_foreign_key_crosses_owners(service: Service, empty: Settings) -> None:
    owners = await owners_of_tables(empty, service.migrations)
    assert await keys_across(empty, owners) == []


def test_the_settings_are_in_the_example(service: Service) -> None:
    assert list(missing_in_example(service.settings, project_folder() / ".env.example")) == []


def test_a_domain_imports_the_standard_library_and_errors_only(service: Service) -> None:
    assert [found for module in service.modules for found in foreign_imports(module)] == []


def test_modules_have_the_same_file_names(service: Service) -> None:
    folders = [_folder(module) for module in service.modules]
    assert [path for folder in folders for path in folder.glob("*.py") if path.stem not in FILES_OF_A_MODULE] == []


def test_no_name_is_meaningless(service: Service) -> None:
    source = Path(importlib.import_module(service.import_name).__path__[0])
    assert [path for path in source.rglob("*") if path.stem in MEANINGLESS] == []


def test_every_function_in_handlers_is_listed(service: Service) -> None:
    assert [name for module in service.modules for name in unlisted_handlers(module)] == []


def test_every_recorded_payload_has_a_handler_that_reads_it(service: Service) -> None:
    assert list(messages.breaks(handlers_of(service.modules), messages.recorded())) == []


def statements_of(modules: Iterable[Module]) -> Iterator[tuple[str, str]]:
    """Find the public constants of each `persistence`, by their dotted names."""
    for module in modules:
        name = f"{module.package}.persistence"
        if _has_file(module, "persistence"):
            for constant, value in vars(importlib.import_module(name)).items():
                if constant.isupper() and not constant.startswith("_") and isinstance(value, str):
                    yield f"{name}.{constant}", value


async def owners_of_tables(empty: Settings, owners: Mapping[str, Path]) -> dict[str, str]:
    """Migrate owner after owner, and see whose revisions bring which table."""
    found: dict[str, str] = {}
    for owner in owners:
        await migrate(empty, owners, upgrade=f"{owner}@head")
        connection = await asyncpg.connect(empty.database_url)
        for row in await connection.fetch(TABLES):
            found.setdefault(row["tablename"], owner)
        await connection.close()
    return found


async def keys_across(settings: Settings, owner_of: Mapping[str, str]) -> list[str]:
    """Name the foreign keys between tables of two owners."""
    connection = await asyncpg.connect(settings.database_url)
    rows = await connection.fetch(FOREIGN_KEYS)
    await connection.close()
    return [row["conname"] for row in rows if owner_of.get(row["child"]) != owner_of.get(row["parent"])]


def missing_in_example(settings: Sequence[type[BaseSettings]], example: Path) -> Iterator[str]:
    """Name the variables that the file lacks, that no class has, or whose meaning or default is another there."""
    text = example.read_text(encoding="utf-8")
    listed = {
        name: (meaning, value)
        for meaning, name, value in re.findall(r"^# (.+)\n(?:# )?([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE)
    }
    fields = {name.upper(): field for kind in settings for name, field in kind.model_fields.items()}
    for name in sorted(listed.keys() ^ fields.keys()):
        yield f"{name} is in {example.name} and no setting" if name in listed else f"{name} is not in {example.name}"
    for name in sorted(listed.keys() & fields.keys()):
        field, (meaning, value) = fields[name], listed[name]
        default = default_of(field)
        if not meaning.startswith(str(field.description)) or value != default:
            yield f"{name}: write `# {field.description}` above `# {name}={default}`"


def default_of(field: FieldInfo) -> str:
    """Write the default of a setting as the variable would hold it; what is required or secret has none."""
    default: object = None if field.is_required() else field.default
    if default is None or hasattr(default, "get_secret_value"):
        return ""
    if isinstance(default, tuple):
        return ",".join(map(str, cast("tuple[object, ...]", default)))
    if isinstance(default, bool):
        return str(default).lower()
    return str(default).removesuffix(".0") if isinstance(default, float) else str(default)


def foreign_imports(module: Module) -> Iterator[str]:
    """Name what a module's domain imports besides the standard library and `chassis.errors`."""
    if not _has_file(module, "domain"):
        return
    file = _folder(module) / "domain.py"
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        for name in names:
            if name.partition(".")[0] not in sys.stdlib_module_names and name != "chassis.errors":
                yield f"{module.package}.domain imports {name}"


def unlisted_handlers(module: Module) -> Iterator[str]:
    """Name the public functions of a module's `handlers` that neither HANDLERS nor SUBSCRIPTIONS lists."""
    if not _has_file(module, "handlers"):
        return
    name = f"{module.package}.handlers"
    listed = {handler.run.__name__ for handler in handlers_of([module])}
    functions = filter(iscoroutinefunction, vars(importlib.import_module(name)).values())
    own = {function.__name__ for function in functions if function.__module__ == name}
    for function in sorted(own - listed):
        if not function.startswith("_"):
            yield f"{name}.{function} is not in HANDLERS or SUBSCRIPTIONS: list it, or begin its name with _"


def _folder(module: Module) -> Path:
    return Path(importlib.import_module(module.package).__path__[0])


def _has_file(module: Module, name: str) -> bool:
    return name in {info.name for info in pkgutil.iter_modules([str(_folder(module))])}
