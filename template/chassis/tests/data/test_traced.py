"""Spans of statements: what they are called, and what they leave out."""

import asyncpg
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis.data import Database
from chassis.ops import entry_span

SAMPLED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"}


@pytest.mark.parametrize(
    ("statement", "name", "text"),
    [
        ("SELECT 'a''b', 1.5, $1::int", "SELECT", "SELECT ?, ?, $1::int"),
        ("SELECT text FROM notes\n    WHERE counted > 12 AND $1 = 1", "SELECT notes", None),
        ("SELECT count(*) FROM generate_series(1, $1)", "SELECT", "SELECT count(*) FROM generate_series(?, $1)"),
        (
            "UPDATE notes SET counted = 0 WHERE counted = $1",
            "UPDATE notes",
            "UPDATE notes SET counted = ? WHERE counted = $1",
        ),
        ("DELETE FROM notes WHERE counted = $1", "DELETE notes", None),
        ("WITH gone AS (DELETE FROM notes WHERE counted = $1) SELECT 1", "DELETE notes", None),
        ("WITH all_of_them AS (SELECT $1::int FROM notes FOR UPDATE) SELECT 1", "SELECT notes", None),
    ],
)
async def test_a_statement_is_named_after_its_operation_and_table(
    database: Database, recorded: InMemorySpanExporter, statement: str, name: str, text: str | None
) -> None:
    with entry_span("GET", "server", SAMPLED):
        await database.fetch(statement, 5)
    found = recorded.get_finished_spans()[0]
    attributes = dict(found.attributes or {})
    assert (found.name, attributes["db.system.name"]) == (name, "postgresql")
    assert text is None or text == attributes["db.query.text"]


async def test_a_transaction_shows_its_statements_and_its_end(
    database: Database, recorded: InMemorySpanExporter
) -> None:
    with entry_span("GET", "server", SAMPLED):
        async with database.transaction() as connection:
            await connection.execute("DELETE FROM notes")
        with pytest.raises(KeyError):
            async with database.transaction() as connection:
                await connection.fetchrow("SELECT 1")
                raise KeyError
    names = [each.name for each in recorded.get_finished_spans()]
    assert names == ["DELETE notes", "COMMIT", "SELECT", "ROLLBACK", "GET"]


async def test_a_refused_statement_has_its_sqlstate(database: Database, recorded: InMemorySpanExporter) -> None:
    with entry_span("GET", "server", SAMPLED), pytest.raises(asyncpg.DivisionByZeroError):
        await database.fetchval("SELECT 1 / $1::int", 0)
    attributes = dict(recorded.get_finished_spans()[0].attributes or {})
    assert (attributes["db.response.status_code"], attributes["error.type"]) == ("22012", "DivisionByZeroError")
