"""The PostgreSQL of development: where it comes from, and that it runs for as long as somebody uses it."""

import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from shutil import rmtree

import asyncpg
import pytest

from chassis.dev import postgres
from chassis.dev.postgres import Cluster, PostgresError


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Generator[Cluster]:
    """A cluster instead of the project's own, in a folder that an unprivileged server reaches."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    cluster = Cluster(folder)
    monkeypatch.setattr(postgres, "development_cluster", lambda: cluster)
    yield cluster
    cluster.stop()
    rmtree(folder)


def test_pg_bin_that_has_no_postgresql_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(PostgresError, match=r"PG_BIN is .*, which has no initdb"):
        postgres.programs()


def test_a_database_that_is_named_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/shop")
    with postgres.database("ours") as url:
        assert url == "postgresql://elsewhere/shop"


async def test_the_last_to_leave_stops_the_server(cluster: Cluster) -> None:
    with postgres.database("one") as first:
        with postgres.database("two") as second:
            assert first != second
        assert cluster.running()
        connection = await asyncpg.connect(first)
        assert await connection.fetchval("SELECT current_database()") == "one"
        await connection.close()
    assert not cluster.running()


async def test_what_was_committed_is_there_at_the_next_start(cluster: Cluster) -> None:
    for statement in ("CREATE TABLE kept (id int)", "SELECT * FROM kept"):
        with postgres.database("one") as url:
            connection = await asyncpg.connect(url)
            await connection.execute(statement)
            await connection.close()
    assert not cluster.running()


async def test_the_server_asks_for_the_password(cluster: Cluster) -> None:
    with postgres.database("one") as url, pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url, password="guessed")  # noqa: S106  # it is wrong
    assert (cluster.folder / "password").stat().st_mode & 0o077 == 0


def test_the_development_database_belongs_to_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(postgres, "AS_ROOT", False)
    monkeypatch.setattr(postgres, "project_folder", lambda: tmp_path)
    assert postgres.development_cluster().folder == tmp_path / ".dev" / "postgres"


async def test_variables_of_libpq_do_not_reach_a_server_of_our_own(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {
        "PGCHANNELBINDING": "require",
        "PGHOSTADDR": "192.0.2.1",
        "PGOPTIONS": "-c nonsense=on",
        "PGREQUIREAUTH": "none",
        "PGSERVICE": "elsewhere",
        "PGSSLMODE": "require",
        "PGTARGETSESSIONATTRS": "standby",
    }
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, value)
    with postgres.database("one") as url:
        assert postgres.psql(url, "-c", "SELECT 1", quiet=True) == 0
        await (await asyncpg.connect(url)).close()
    assert elsewhere.keys().isdisjoint(os.environ)
    assert cluster.folder.exists()
