"""The secrets of development: made once, on this machine, for nobody else to read."""

import os
from pathlib import Path

import pytest

from chassis.dev import environment, postgres


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a shell whose variables nobody sees afterwards."""
    monkeypatch.setattr(environment, "project_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "environ", {"DATABASE_URL": "postgresql://localhost/none"})
    return tmp_path


def test_secrets_are_made_once_for_their_owner_alone(project: Path) -> None:
    made: list[str] = []
    for _ in range(2):
        with environment.prepare():
            made.append(os.environ.pop("SIGNING_KEYS"))
    assert made[0] == made[1]
    assert (project / ".dev" / "secrets").stat().st_mode & 0o777 == 0o600


def test_the_shell_comes_before_the_file_and_the_file_before_what_is_made(project: Path) -> None:
    (project / ".env").write_text("SIGNING_KEYS=of the file\nLOG_FORMAT=json\n")
    with environment.prepare():
        assert os.environ["SIGNING_KEYS"] == "of the file"
    os.environ["SIGNING_KEYS"] = "of the shell"
    with environment.prepare():
        assert os.environ["SIGNING_KEYS"] == "of the shell"


@pytest.mark.parametrize("host", ["127.0.0.1:5432", "localhost", "[::1]:5432"])
def test_a_database_on_this_machine_may_be_emptied(host: str) -> None:
    environment.require_local(f"postgresql://shop:secret@{host}/shop")


def test_one_behind_a_socket_is_on_this_machine() -> None:
    environment.require_local("postgresql:///shop?host=/run/postgresql")
    environment.require_local("postgresql://shop@%2Frun%2Fpostgresql/shop")


@pytest.mark.parametrize("host", ["db.example.org", "localhost.example.org", "10.0.0.1", "", "localhost:1,10.0.0.1:2"])
def test_one_elsewhere_is_neither_emptied_nor_filled(host: str) -> None:
    with pytest.raises(postgres.PostgresError, match="only one on this machine is emptied or filled"):
        environment.require_local(f"postgresql://shop:secret@{host}/shop")


def test_a_host_among_the_parameters_counts_as_well() -> None:
    with pytest.raises(postgres.PostgresError, match=r"names db\.example\.org"):
        environment.require_local("postgresql://localhost/shop?host=db.example.org")
