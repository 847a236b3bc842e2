"""What cannot be claimed now costs a claim nothing, however much it is: the pages that its plan reads are counted."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import asyncpg
import pytest

from chassis.data import Connection
from chassis.jobs._claims import CLAIM, CLAIM_LIMITED, IDLE, MARKS
from chassis.jobs._ordering import ADVANCE
from chassis.settings import Settings

from tests.faults.scale import pick

MANY = pick(short=50_000, full=1_000_000)
FILL = """
    INSERT INTO chassis_jobs (
        handler, message_id, version, payload, priority, is_limited, is_waiting, ordering_key, due_at, run_at, dead_at,
        request_id, traceparent
    )
    SELECT 'plain', gen_random_uuid(), 1, '{}', 0, false, false, NULL, now(), now(), NULL::timestamptz, '', ''
    FROM generate_series(1, $1)
"""
DUE_TOMORROW = FILL.replace("now(), now(), NULL", "now(), now() + interval '1 day', NULL")
URGENT_TOMORROW = DUE_TOMORROW.replace("1, '{}', 0", "1, '{}', 1")
DEAD = FILL.replace("NULL::timestamptz", "now()")
OF_ONE_KEY = FILL.replace("false, NULL, now()", "true, 'key', now()")
LIMITED = FILL.replace("'plain'", "'limited'").replace("0, false", "0, true")
LEASED = DUE_TOMORROW.replace("dead_at,", "worker, dead_at,").replace("NULL::", "gen_random_uuid(), NULL::")
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
numbers = count()
# A claim of ten among the ten that are due reads fewer, in the plan that it has on an empty table as well.
PAGES = 250


@asynccontextmanager
async def connected(settings: Settings) -> AsyncGenerator[Connection]:
    connection = await asyncpg.connect(settings.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def pages_of(connection: Connection, statement: str, *arguments: str) -> tuple[int, int]:
    """Run the statement by its generic plan; return the pages that it touched and the rows that it returned."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    name = f"measured_{next(numbers)}"
    await connection.execute(f"PREPARE {name} AS {statement}")
    execute = f"EXECUTE {name}({', '.join(arguments)})" if arguments else f"EXECUTE {name}"
    [row] = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {execute}")
    plan = json.loads(row[0])[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], plan["Actual Rows"]


def claim(marks: Sequence[datetime]) -> Sequence[str]:
    texts = ", ".join(f"'{mark.isoformat()}'" for mark in marks)
    return (
        "gen_random_uuid()",
        "'10 s'",
        "10",
        "false",
        "'{plain}'",
        "'{plain}'",
        "'{}'",
        f"ARRAY[{texts}]::timestamptz[]",
        "true",
    )


@pytest.mark.parametrize(
    "filled",
    [[DUE_TOMORROW], [URGENT_TOMORROW], [DEAD], [OF_ONE_KEY], [LIMITED], [LEASED]],
    ids=["due tomorrow", "urgent tomorrow", "dead letters", "one ordering key", "a limited handler", "running jobs"],
)
async def test_a_claim_reads_as_little_with_many_jobs_that_cannot_be_claimed(
    settings: Settings, filled: Sequence[str]
) -> None:
    async with connected(settings) as connection:
        for statement in filled:
            await connection.execute(statement, *([MANY] if "$1" in statement else []))
        await connection.execute(FILL, 10)
        await connection.execute("ANALYZE chassis_jobs")
        pages, rows = await pages_of(connection, CLAIM, *claim([EARLIEST] * 4))
        assert rows == 10
        assert pages < PAGES
        assert (await pages_of(connection, CLAIM, *claim([EARLIEST] * 4)))[0] < PAGES
        assert (await pages_of(connection, IDLE, "'0 s'", "'{plain}'", "'{}'"))[0] < PAGES
        assert (await pages_of(connection, MARKS))[0] < PAGES


async def test_the_claim_of_a_limited_handler_reads_as_little_of_a_backlog(settings: Settings) -> None:
    async with connected(settings) as connection:
        await connection.execute(LIMITED, MANY)
        await connection.execute("ANALYZE chassis_jobs")
        arguments = ("gen_random_uuid()", "'10 s'", "10", "false", "'{limited}'", "'{2}'")
        assert await pages_of(connection, CLAIM_LIMITED, *arguments) < (PAGES, 3)
        assert (await pages_of(connection, CLAIM_LIMITED, *arguments))[1] == 0


async def test_the_next_of_an_ordering_key_is_found_among_many(settings: Settings) -> None:
    async with connected(settings) as connection:
        await connection.execute(OF_ONE_KEY, MANY)
        await connection.execute("ANALYZE chassis_jobs")
        pages, _ = await pages_of(connection, ADVANCE, "'{plain}'", "'{key}'")
        assert pages < PAGES
        assert await connection.fetchval("SELECT count(*) FROM chassis_jobs WHERE NOT is_waiting") == 1


async def test_a_claim_does_not_read_what_was_deleted_and_cannot_be_vacuumed_yet(settings: Settings) -> None:
    async with connected(settings) as old, connected(settings) as connection:
        await connection.execute(FILL.replace("now(), now(),", "now(), now() - interval '1 minute',"), MANY)
        await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM chassis_jobs")
        await connection.execute("DELETE FROM chassis_jobs")
        await connection.execute(FILL, 10)
        marks = await connection.fetchval(MARKS)
        pages, rows = await pages_of(connection, CLAIM, *claim(marks))
        assert rows == 10
        assert pages < PAGES
        await connection.execute("DELETE FROM chassis_jobs")
        assert (await pages_of(connection, CLAIM, *claim([EARLIEST] * 4)))[0] > PAGES
