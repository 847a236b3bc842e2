"""Every wait on the database has a limit, and what a database that is unavailable raises."""

import asyncio

import asyncpg
import pytest

from chassis.data import _database
from chassis.data._database import Database, open_database
from chassis.errors import Unavailable
from chassis.settings import Settings

UNREACHABLE = "postgresql://postgres@127.0.0.1:1/none"


async def test_a_full_pool_is_unavailable_after_the_pool_timeout(settings: Settings) -> None:
    async with open_database(settings.model_copy(update={"database_pool_size": 1})) as database, database.connection():
        impatient = Database(database.pool, pool_timeout=0.05)
        with pytest.raises(Unavailable):
            async with impatient.connection():
                pass


async def test_a_slow_statement_is_ended_by_the_server(settings: Settings) -> None:
    async with open_database(settings.model_copy(update={"database_statement_timeout": 0.1})) as database:
        with pytest.raises(Unavailable) as raised:
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(10)")
    assert isinstance(raised.value.__cause__, asyncpg.QueryCanceledError)


async def test_a_server_that_is_away_does_not_fail_the_start(settings: Settings) -> None:
    away = Settings.model_validate(settings.model_dump() | {"database_url": UNREACHABLE})
    async with open_database(away) as database:
        assert not await database.ready()
        with pytest.raises(Unavailable):
            async with database.connection():
                pass


async def test_a_lost_connection_is_unavailable_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(Unavailable):
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert await database.ready()


async def test_a_connection_lost_between_two_statements_is_unavailable(database: Database) -> None:
    with pytest.raises(Unavailable):
        async with database.connection() as connection, database.connection() as other:
            await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await asyncio.sleep(0.1)
            await connection.execute("SELECT 1")
    assert await database.ready()


async def test_a_connection_cut_off_as_a_statement_is_sent_is_not_used_again(settings: Settings) -> None:
    """The driver raises an internal error, seen when a server is killed under load."""
    async with open_database(settings, 1) as database:
        pids: list[int] = []
        with pytest.raises(Unavailable):
            async with database.connection() as connection:
                pids.append(connection.get_server_pid())
                raise asyncpg.InternalClientError
        async with database.connection() as connection:
            assert connection.get_server_pid() not in pids


async def test_a_connection_that_is_not_given_back_does_not_hold_up_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_database, "CLOSE_SECONDS", 0.1)
    async with asyncio.timeout(10), open_database(settings) as database:
        await database.pool.acquire()


async def test_a_mistake_in_the_code_is_not_called_unavailable(database: Database) -> None:
    with pytest.raises(asyncpg.InterfaceError):
        async with database.connection() as connection:
            await connection.execute("SELECT $1::int", 1, 2)


async def test_a_transaction_commits_at_its_end_and_rolls_back_when_it_raises(database: Database) -> None:
    statement = "INSERT INTO chassis_inbox (message_id, handler) VALUES (gen_random_uuid(), 'test')"
    with pytest.raises(KeyError):
        async with database.transaction() as connection:
            await connection.execute(statement)
            raise KeyError
    assert await database.pool.fetchval("SELECT count(*) FROM chassis_inbox") == 0
    async with database.transaction() as connection:
        await connection.execute(statement)
    assert await database.pool.fetchval("SELECT count(*) FROM chassis_inbox") == 1


async def test_a_use_of_a_connection_costs_no_round_trip_of_its_own(settings: Settings) -> None:
    """The session is left as it is, where the driver would reset it each time."""
    async with open_database(settings, 1) as database:
        for expected in ("", "kept"):
            async with database.connection() as connection:
                assert await connection.fetchval("SHOW application_name") == expected
                await connection.execute("SET application_name = 'kept'")


async def test_a_transaction_that_was_left_open_is_rolled_back(settings: Settings) -> None:
    async with open_database(settings, 1) as database:
        async with database.connection() as connection:
            await connection.execute("BEGIN; CREATE TABLE left_open (id int)")
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT to_regclass('left_open')") is None
