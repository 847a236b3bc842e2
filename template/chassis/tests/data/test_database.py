"""Every wait on the database has a limit, and what a database that is unavailable raises."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from chassis.data import Database, _outage, _pool, open_database
from chassis.errors import Unavailable
from chassis.settings import Settings

# Nobody listens there; there is no such socket, which is no error of a connection.
UNREACHABLE = ("postgresql://postgres@127.0.0.1:1/none", "postgresql://postgres@%2Fnowhere/none")


async def test_a_full_pool_is_unavailable_after_the_pool_timeout(settings: Settings) -> None:
    async with open_database(settings.model_copy(update={"database_pool_timeout": 0.5}), 1) as database:
        async with database.connection():
            with pytest.raises(Unavailable):
                await database.execute("SELECT 1")
        assert await database.ready()


async def test_a_slow_statement_is_ended_by_the_server(settings: Settings) -> None:
    async with open_database(settings.model_copy(update={"database_statement_timeout": 0.1})) as database:
        with pytest.raises(Unavailable) as raised:
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(10)")
    assert isinstance(raised.value.__cause__, asyncpg.QueryCanceledError)


@pytest.mark.parametrize("url", UNREACHABLE, ids=["port", "socket"])
async def test_a_server_that_is_away_does_not_fail_the_start(settings: Settings, url: str) -> None:
    away = Settings.model_validate(settings.model_dump() | {"database_url": url})
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


async def test_a_transaction_whose_connection_is_lost_before_its_commit_is_unavailable(database: Database) -> None:
    with pytest.raises(Unavailable):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO notes (id, text) VALUES (gen_random_uuid(), 'lost')")
            await database.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await asyncio.sleep(0.1)
    assert await database.fetchval("SELECT count(*) FROM notes") == 0


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
    monkeypatch.setattr(_pool, "CLOSE_SECONDS", 0.1)
    async with asyncio.timeout(10), open_database(settings) as database:
        await database.connection().__aenter__()


async def test_a_mistake_in_the_code_is_not_called_unavailable(database: Database) -> None:
    with pytest.raises(asyncpg.InterfaceError):
        async with database.connection() as connection:
            await connection.execute("SELECT $1::int", 1, 2)


async def test_a_transaction_commits_at_its_end_and_rolls_back_when_it_raises(database: Database) -> None:
    statement = "INSERT INTO notes (id, text) VALUES (gen_random_uuid(), 'test')"
    with pytest.raises(KeyError):
        async with database.transaction() as connection:
            await connection.execute(statement)
            raise KeyError
    assert await database.fetchval("SELECT count(*) FROM notes") == 0
    async with database.transaction() as connection:
        await connection.execute(statement)
    assert await database.fetchval("SELECT count(*) FROM notes") == 1


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


async def test_a_connection_is_of_no_use_after_it_was_given_back(database: Database) -> None:
    async with database.connection() as kept:
        pass
    async with database.transaction():
        with pytest.raises(asyncpg.InterfaceError, match="was given back"):
            await kept.execute("SELECT 1")


@pytest.mark.parametrize("is_transaction", [False, True])
async def test_a_statement_that_was_cancelled_disturbs_no_other(settings: Settings, *, is_transaction: bool) -> None:
    async with open_database(settings, 1) as database:

        async def sleep() -> None:
            async with database.transaction() if is_transaction else database.connection() as connection:
                await connection.execute("SELECT pg_sleep(10)")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await sleep()
        async with asyncio.timeout(1):
            assert await database.fetchval("SELECT 1") == 1


async def test_connections_that_nobody_uses_are_closed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pool, "UNUSED_SECONDS", 0.1)
    async with open_database(settings, 2) as database, open_database(settings, 1) as other:
        async with database.connection() as first, database.connection() as second:
            pids = [first.get_server_pid(), second.get_server_pid()]
        async with asyncio.timeout(10):
            while await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", pids):
                await asyncio.sleep(0.02)
        assert await database.ready()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("sslmode=verify-full", 'root certificate file ".*" does not exist'),
        ("target_session_attrs=standby", "None of the hosts match the target attribute requirement"),
    ],
)
async def test_an_address_that_cannot_be_used_is_an_outage_with_its_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, parameters: str, reason: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    url = f"{settings.database_url}?{parameters}"
    async with open_database(Settings.model_validate({"database_url": url})) as database:
        with capture_logs() as logs:
            database.watch()
            with pytest.raises(Unavailable):
                await database.execute("SELECT 1")
    [logged] = logs
    assert logged["event"] == "database unavailable"
    assert re.match(reason, logged["reason"])


async def test_an_outage_is_logged_when_it_begins_and_once_no_error_has_come_for_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writes fail and reads succeed, it goes on."""
    with capture_logs() as logs:
        database.watch()
        for _ in range(3):
            with pytest.raises(Unavailable):
                async with database.transaction() as connection:
                    await connection.execute("SET TRANSACTION READ ONLY")
                    await connection.execute("DELETE FROM notes")
            assert await database.ready()
        assert [entry["event"] for entry in logs] == ["database unavailable"]
        monkeypatch.setattr(_outage, "QUIET_SECONDS", 0.0)
        assert await database.ready()
        assert await database.ready()
    assert [entry["event"] for entry in logs] == ["database unavailable", "database available again"]
    assert logs[0]["reason"] == "cannot execute DELETE in a read-only transaction"


async def test_a_database_that_has_much_to_do_is_available(settings: Settings) -> None:
    impatient = settings.model_copy(update={"database_pool_timeout": 0.1})
    with capture_logs() as logs:
        async with open_database(impatient, 1) as database:
            database.watch()
            with pytest.raises(Unavailable):
                async with database.transaction() as connection:
                    await connection.execute("SET LOCAL statement_timeout = 10; SELECT pg_sleep(1)")
            async with database.connection():
                with pytest.raises(Unavailable):
                    await database.fetchval("SELECT 1")
                assert await database.ready()
    assert logs == []


async def test_a_connection_that_is_read_only_is_not_used_again(settings: Settings) -> None:
    async with open_database(settings, 1) as database:
        with pytest.raises(Unavailable):
            async with database.connection() as connection:
                await connection.execute("SET default_transaction_read_only = on")
                await connection.execute("DELETE FROM notes")
        await database.execute("DELETE FROM notes")


async def test_a_server_that_does_not_answer_costs_one_wait_and_not_one_for_each_connection(database: Database) -> None:
    """As after a failover to another machine: what has been used since is kept, all else may lead to the old one."""
    async with AsyncExitStack() as stack:
        unused = [await stack.enter_async_context(database.connection()) for _ in range(4)]
        pids = {connection.get_server_pid() for connection in unused}
    silent_pid = used_pid = 0
    with pytest.raises(Unavailable):
        async with database.connection() as silent:
            silent_pid = silent.get_server_pid()
            used_pid = await database.fetchval("SELECT pg_backend_pid()")
            raise TimeoutError
    async with AsyncExitStack() as stack:
        again = [await stack.enter_async_context(database.connection()) for _ in range(4)]
        assert {connection.get_server_pid() for connection in again} & pids == {used_pid}
    assert used_pid != silent_pid
