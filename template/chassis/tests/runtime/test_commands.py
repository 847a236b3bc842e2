"""The command line of a service."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from secrets import token_urlsafe

import pytest

from chassis.identity import Authentication
from chassis.identity.api_keys import api_keys
from chassis.identity.oidc import oidc
from chassis.runtime import Service
from chassis.settings import Settings


def error_of(service: Service, arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that ends with status 2 and give the one line that it prints."""
    with pytest.raises(SystemExit) as ended:
        service.main(arguments)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def help_of(service: Service, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        service.main(["--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_names_the_commands(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    printed = help_of(service, capsys)
    assert all(command in printed for command in ("api", "worker", "migrate", "openapi", "jobs", ".env.example"))


@pytest.mark.parametrize(("auth", "added"), [(oidc, {"token"}), (api_keys, {"keys"}), (None, set[str]())])
def test_the_authentication_adds_its_commands(
    service: Service, capsys: pytest.CaptureFixture[str], auth: Authentication | None, added: set[str]
) -> None:
    words = help_of(replace(service, auth=auth), capsys).split()
    assert {"token", "keys"} & set(words) == added


@pytest.mark.parametrize("command", ["api", "worker", "migrate"])
def test_a_missing_setting_ends_the_start_with_one_line(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    line = error_of(service, [command], capsys)
    assert line == "sample: DATABASE_URL is missing, it accepts: postgresql://user:password@host:port/name"


@pytest.mark.usefixtures("kept_logs")
@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_wrong_setting_of_a_module_ends_the_start_with_one_line(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/none")
    monkeypatch.setenv("NOTES_LONGEST", "none")
    assert error_of(service, [command], capsys).startswith("sample: NOTES_LONGEST is wrong, it accepts: ")


@pytest.mark.parametrize(("command", "name"), [("api", "API_PORT"), ("worker", "WORKER_OPERATIONS_PORT")])
def test_a_process_ignores_what_kubernetes_sets_for_a_service_and_says_so(
    service: Service, worker_database: str, command: str, name: str
) -> None:
    """It comes as far as to an address that is not of this machine."""
    variables = {"DATABASE_URL": worker_database, "NATS_URL": "nats://127.0.0.1:1", "LOG_FORMAT": "json"}
    variables |= {"OIDC_ISSUER": "https://issuer.test", "OIDC_AUDIENCE": "sample", "SIGNING_KEYS": token_urlsafe(32)}
    variables |= {name: "tcp://10.0.0.1:80", "OPERATIONS_HOST": "203.0.113.1"}
    ended = subprocess.run(
        [sys.executable, "-m", service.import_name, command],
        check=False,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    assert ended.stderr.startswith("sample: OPERATIONS_HOST is wrong, cannot listen on 203.0.113.1")
    line = json.loads(ended.stdout.splitlines()[0])
    assert (line["event"], line["level"], line["variable"]) == (
        "variable of a Kubernetes Service ignored",
        "warning",
        name,
    )


def test_a_revision_that_is_missing_ends_with_one_line(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty: Settings
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.database_url)
    assert "'missing'" in error_of(service, ["migrate", "--downgrade", "missing@base"], capsys)


def test_a_database_that_is_away_ends_a_command_with_one_line(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:1/none")
    line = error_of(replace(service, auth=api_keys), ["keys", "list"], capsys)
    assert line.startswith("sample: the database is unavailable or not migrated: ")


def test_the_openapi_document_needs_no_settings(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.main(["openapi", "--output", str(tmp_path / "openapi.json")])
    service.main(["openapi"])
    printed = capsys.readouterr().out
    assert (tmp_path / "openapi.json").read_text(encoding="utf-8") == printed
    assert json.loads(printed)["openapi"].startswith("3.1")


def test_a_service_runs_as_a_package(service: Service, empty: Settings) -> None:
    environment = os.environ | {"DATABASE_URL": empty.database_url}
    command = [sys.executable, "-m", service.import_name, "migrate"]
    ended = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert ended.stdout == "The database is at the newest revisions.\n"
