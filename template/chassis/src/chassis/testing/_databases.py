"""The databases of one test run: a server, a migrated template on it, a copy for each worker of pytest."""

import asyncio
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Self
from urllib.parse import urlsplit

import asyncpg

from chassis.data.migration import migrate
from chassis.dev.postgres import FAST, Cluster, join
from chassis.dev.project import service
from chassis.settings import Settings

# Nothing names the tables, so that a new one is emptied too; the marks of the migrations stay. To truncate a table that
# is empty already would take a hundred times as long as to look.
EMPTY = """
    DO $$ DECLARE name text; filled boolean; BEGIN
        FOR name IN
            SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        LOOP
            EXECUTE 'SELECT EXISTS (SELECT FROM ' || name || ')' INTO filled;
            IF filled THEN EXECUTE 'TRUNCATE ' || name || ' CASCADE'; END IF;
        END LOOP;
    END $$
"""


def in_database(server: str, name: str) -> str:
    """Give the address of another database of the same server."""
    return join(urlsplit(server)._replace(path=f"/{name}"))


async def execute(url: str, *statements: str) -> None:
    """Run statements one by one outside a transaction."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class Server:
    """Where the databases of this run are: DATABASE_URL where it is set, else a cluster in a temporary folder."""

    url: str
    template: str
    folder: str | None

    @classmethod
    def start(cls) -> Self:
        url, folder = os.environ.get("DATABASE_URL"), None
        if url is None:
            folder = tempfile.mkdtemp(prefix="postgres-")
            cluster = Cluster(Path(folder))
            cluster.start(*FAST, "-c", "max_connections=300")
            url = cluster.url("postgres")
        server = cls(url, f"test_{secrets.token_hex(4)}", folder)
        try:
            asyncio.run(server.make_template())
        except BaseException:
            server.stop()
            raise
        return server

    def stop(self) -> None:
        if self.folder is None:
            asyncio.run(self.drop_databases())
        else:
            Cluster(Path(self.folder)).stop()
            rmtree(self.folder)

    async def make_template(self) -> None:
        await execute(self.url, f"CREATE DATABASE {self.template}")
        settings = Settings.model_validate({"database_url": in_database(self.url, self.template)})
        await migrate(settings, service().migrations)

    async def copy(self, suffix: str) -> str:
        """Copy the template and give the copy's address."""
        name = f"{self.template}_{suffix}"
        await execute(self.url, f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return in_database(self.url, name)

    async def drop_databases(self) -> None:
        connection = await asyncpg.connect(self.url)
        rows = await connection.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", self.template)
        await connection.close()
        await execute(self.url, *(f"DROP DATABASE {row['datname']} WITH (FORCE)" for row in rows))
