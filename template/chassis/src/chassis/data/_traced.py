"""Spans of statements, by the semantic conventions for PostgreSQL; the values are parameters, and not recorded."""

import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import asyncpg

from chassis.data._pool import Lent
from chassis.ops import span

STATEMENTS = frozenset({"execute", "executemany", "fetch", "fetchrow", "fetchval"})
# Not that of SELECT ... FOR UPDATE.
CHANGE = re.compile(r"\b(?:INSERT|(?<!FOR )(?<!KEY )UPDATE|DELETE|MERGE)\b", re.IGNORECASE)
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+([a-z_][\w.]*)(?!\w*\()", re.IGNORECASE)
LITERAL = re.compile(r"'(?:[^']|'')*'|(?<![\w$.])\d[\d.]*")


class TracedLent(Lent):
    """A lent connection whose statements are recorded as spans."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # of the connection
        attribute = super().__getattr__(name)
        return partial(_run, attribute) if name in STATEMENTS else attribute


async def _run[T](run: Callable[..., Awaitable[T]], statement: str, *arguments: object, **options: object) -> T:
    with statement_span(statement):
        return await run(statement, *arguments, **options)


@contextmanager
def statement_span(statement: str) -> Generator[None]:
    """Record the block as the run of a statement."""
    text, operation, summary = _describe(statement)
    attributes = {"db.system.name": "postgresql", "db.operation.name": operation, "db.query.text": text}
    with span(summary, "client", attributes) as recorded:
        try:
            yield
        except asyncpg.PostgresError as error:
            recorded.set_attribute("db.response.status_code", error.sqlstate)
            raise


@lru_cache(1024)
def _describe(statement: str) -> tuple[str, str, str]:
    """Return the statement without literals, its operation, and both the operation and its first table."""
    text = LITERAL.sub("?", " ".join(statement.split()))
    operation = text.partition(" ")[0].upper()
    if operation == "WITH":
        change = CHANGE.search(text)
        operation = change[0].upper() if change else "SELECT"
    table = TABLE.search(text)
    return text, operation, f"{operation} {table[1]}" if table else operation
