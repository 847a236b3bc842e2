"""Every statement of the chassis fits the schema that its migrations make."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import replace

import asyncpg
import pytest

import chassis
from chassis.data import Database
from chassis.data.migration import migrate
from chassis.identity.api_keys import api_keys
from chassis.runtime import Service
from chassis.settings import Settings

FILES = {
    "chassis.http._idempotency",
    "chassis.identity.api_keys._persistence",
    "chassis.jobs._dead_letters",
    "chassis.jobs._inbox",
    "chassis.jobs._queue",
    "chassis.jobs._retention",
    "chassis.jobs._schedules",
    "chassis.jobs._tracking",
}
STATEMENT = re.compile(r"\s*(DELETE|INSERT|SELECT|UPDATE|WITH)\b")
# Its stars are those of subqueries, whose columns are named, and of counts.
OVER_SUBQUERIES = "chassis.jobs._queue."
ROOMS = ("chassis.data", "chassis.events", "chassis.http", "chassis.identity", "chassis.jobs", "chassis.ops")


def statements() -> Iterator[tuple[str, str]]:
    """Find the public constants that are whole statements, by their dotted names."""
    for info in pkgutil.walk_packages(chassis.__path__, "chassis."):
        if info.name.startswith(ROOMS) and not info.name.endswith("migration.env"):  # which only Alembic can import
            for name, value in vars(importlib.import_module(info.name)).items():
                if name.isupper() and isinstance(value, str) and STATEMENT.match(value):
                    yield f"{info.name}.{name}", value


def test_statements_are_where_sql_is_expected() -> None:
    assert {name.rpartition(".")[0] for name, _ in statements()} == FILES | {"chassis.data.migration"}


async def test_every_statement_prepares_on_the_migrated_schema(service: Service, empty: Settings) -> None:
    await migrate(empty, replace(service, auth=api_keys, only=["tests.sample.modules.notes"]).migrations)
    connection = await asyncpg.connect(str(empty.database_url))
    try:
        for name, statement in statements():
            assert name.startswith(OVER_SUBQUERIES) or "*" not in statement, f"{name}: name the columns"
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{name}: {error}")
    finally:
        await connection.close()


async def test_a_statement_that_does_not_fit_is_found(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        async with database.connection() as connection:
            await connection.prepare("SELECT missing FROM notes")
