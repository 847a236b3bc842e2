"""Behind a pooler in transaction mode, where each transaction may have another connection: PgBouncer of Debian.

It is found by PGBOUNCER_BIN, which a pipeline sets so that it must be there, else on the PATH.
"""

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from httpx import AsyncClient

from chassis.data import Database, open_database
from chassis.data.migration import migrate
from chassis.errors import Unavailable
from chassis.settings import Settings, SettingsError
from chassis.testing import Start, free_ports

from tests.sample.service import service

if sys.platform == "win32":
    pytest.skip("PgBouncer is for Unix", allow_module_level=True)

AS_ROOT = os.geteuid() == 0
# Few connections, which the many of the service share.
CONFIGURATION = """
[databases]
* = host={host} port={server_port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
logfile = {folder}/log
"""
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture
async def pooler(settings: Settings) -> AsyncGenerator[str]:
    """Start PgBouncer before the server of the test's database, and give the URL of that database through it."""
    program = os.environ.get("PGBOUNCER_BIN") or shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    server = urlsplit(settings.database_url)
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="pooler-") as folder:
        file = Path(folder) / "pgbouncer.ini"
        file.write_text(
            CONFIGURATION.format(
                host=server.hostname,
                server_port=server.port,
                user=server.username,
                password=server.password,
                port=port,
                folder=folder,
            )
        )
        if AS_ROOT:  # it refuses to run as root
            for path in (Path(folder), file):
                os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
        process = subprocess.Popen([program, file], user="nobody" if AS_ROOT else None, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
        url = server._replace(netloc=f"{server.username}@127.0.0.1:{port}").geturl()
        try:
            async with asyncio.timeout(20):
                while not await _answers(url):
                    await asyncio.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait()


async def _answers(url: str) -> bool:
    try:
        await (await asyncpg.connect(url)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def pooled(settings: Settings, pooler: str) -> Settings:
    changed = {"database_url": pooler, "database_listen_url": settings.database_url, "database_statement_cache": 0}
    return Settings.model_validate(settings.model_dump() | changed)


@pytest.fixture
async def database_behind(pooled: Settings) -> AsyncGenerator[Database]:
    async with open_database(pooled) as database:
        yield database


async def test_every_transaction_has_its_limits_and_leaves_none_behind(database_behind: Database) -> None:
    query = (
        "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), "
        "current_setting('idle_in_transaction_session_timeout')"
    )
    async with database_behind.transaction() as connection:
        assert tuple(await connection.fetchrow(query) or ()) == ("3s", "3s", "10s")
    for _ in range(10):
        assert tuple(await database_behind.fetchrow(query) or ()) == ("0", "0", "0")


async def test_many_transactions_share_few_connections(database_behind: Database) -> None:
    """The same statements again and again, so that those that are prepared would meet each other."""

    async def read(number: int) -> None:
        for _ in range(20):
            assert await database_behind.fetchval("SELECT $1::int + 1", number) == number + 1
            async with database_behind.transaction() as connection:
                assert await connection.fetchval("SELECT array_agg(n) FROM unnest($1::int[]) AS n", [number]) == [
                    number
                ]

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(read(number))


async def test_both_processes_work_behind_it(start: Start, pooled: Settings) -> None:
    variables = {
        "DATABASE_URL": pooled.database_url,
        "DATABASE_LISTEN_URL": pooled.database_listen_url,
        "DATABASE_STATEMENT_CACHE": "0",
    }
    backend = await start("notes:read notes:write", **variables)
    async with AsyncClient(base_url=backend.url, headers=backend.headers) as client, asyncio.timeout(30):
        answers = await asyncio.gather(
            *(client.post("/v1/notes", json={"text": "x"}, headers={"Idempotency-Key": str(n)}) for n in range(20))
        )
        for answer in answers:
            assert answer.status_code == 201
            while (await client.get(f"/v1/notes/{answer.json()['id']}")).json()["counted"] == 0:
                await asyncio.sleep(0.05)
    for running in (backend.api, backend.worker):
        _, logged = await running.terminate()
        assert '"level":"error"' not in logged
        assert "database unavailable" not in logged
        assert "notifications" not in logged


async def test_migrate_uses_the_direct_connection(pooled: Settings) -> None:
    await migrate(pooled, service.migrations)
    with pytest.raises(SettingsError, match="set DATABASE_LISTEN_URL to a direct connection"):
        await migrate(pooled.model_copy(update={"database_listen_url": ""}), service.migrations)


async def test_one_that_is_not_configured_is_said_with_what_to_do(pooled: Settings) -> None:
    async with open_database(pooled.model_copy(update={"database_listen_url": ""})) as database:
        with pytest.raises(Unavailable) as raised:
            await database.execute("SELECT 1")
    assert "set DATABASE_LISTEN_URL to a direct connection" in str(raised.value.__cause__)
