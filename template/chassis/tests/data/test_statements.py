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
from chassis.jobs import Retention
from chassis.runtime import Service
from chassis.settings import Settings

FILES = {
    "chassis.data._checks",
    "chassis.data._revisions",
    "chassis.data.migration",
    "chassis.events._commands",
    "chassis.events._exchange",
    "chassis.events._outbox",
    "chassis.events._receipts",
    "chassis.events._relay",
    "chassis.http._idempotency",
    "chassis.identity.api_keys._persistence",
    "chassis.jobs._claims",
    "chassis.jobs._dead_letters",
    "chassis.jobs._gauges",
    "chassis.jobs._ordering",
    "chassis.jobs._queue",
    "chassis.jobs._retention",
    "chassis.jobs._schedules",
    "chassis.jobs._tracking",
    "chassis.jobs._transactions",
}
# Doors through which the worker gets the statements that it sweeps with.
DOORS = {"chassis.events", "chassis.http"}
STATEMENT = re.compile(r"\s*(DELETE|INSERT|SELECT|UPDATE|WITH)\b")
# The only star that does not stand for columns.
COUNT = "count(*)"
ROOMS = ("chassis.data", "chassis.events", "chassis.http", "chassis.identity", "chassis.jobs", "chassis.ops")


def statements() -> Iterator[tuple[str, str]]:
    """Find the public constants that are whole statements, or have one, by their dotted names."""
    for info in pkgutil.walk_packages(chassis.__path__, "chassis."):
        if info.name.startswith(ROOMS) and not info.name.endswith("migration.env"):  # which only Alembic can import
            for name, value in vars(importlib.import_module(info.name)).items():
                statement = value.statement if isinstance(value, Retention) else value
                if re.match("[A-Z]", name) and isinstance(statement, str) and STATEMENT.match(statement):
                    yield f"{info.name}.{name}", statement


def test_statements_are_where_sql_is_expected() -> None:
    assert {name.rpartition(".")[0] for name, _ in statements()} == FILES | DOORS


async def test_every_statement_prepares_on_the_migrated_schema(service: Service, empty: Settings) -> None:
    await migrate(empty, replace(service, auth=api_keys, only=["tests.sample.modules.notes"]).migrations)
    connection = await asyncpg.connect(empty.database_url)
    try:
        for name, statement in statements():
            assert "*" not in statement.replace(COUNT, ""), f"{name}: name the columns"
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
