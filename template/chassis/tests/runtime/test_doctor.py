"""The command `doctor`, on real parts: each failure is one line that says what to correct."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex, token_urlsafe
from urllib.parse import urlsplit

import pytest
import time_machine

from chassis import ops
from chassis.data import _checks
from chassis.dev.nats import NatsServer
from chassis.runtime import Service, _doctor
from chassis.testing import free_ports
from chassis.testing._databases import execute, in_database

from tests.identity.oidc.conftest import Issuer

CHECKS = ["settings", "database", "migrations", "listening", "issuer", "nats", "collector", "sentry"]
OF_THE_DATABASE = ["database", "migrations", "listening"]
GRANT = """
    CREATE ROLE {role} LOGIN PASSWORD 'right';
    GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
"""
PASSWORD = "c4nary-5ecret"  # noqa: S105  # to look for

type Doctor = Callable[[], dict[str, str]]


@pytest.fixture(autouse=True)
def url(worker_database: str, issuer: Issuer, broker: NatsServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set all variables, so that every check succeeds; the issuer is an HTTP server, which a collector is as well."""
    del broker
    monkeypatch.setenv("DATABASE_URL", worker_database)
    monkeypatch.setenv("SIGNING_KEYS", token_urlsafe(32))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", issuer.url)
    monkeypatch.setenv("SENTRY_DSN", "https://key@tracker.example/1")
    return worker_database


@pytest.fixture
def doctor(service: Service, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run the command, and give the lines that fail by the names of their checks, in their order."""

    def run() -> dict[str, str]:
        with pytest.raises(SystemExit) as ended:
            service.main(["doctor"])
        printed, errors = capsys.readouterr()
        assert errors == ""
        lines = [re.fullmatch(r"(ok|FAIL) +(\w+) +(\S.*)", line) for line in printed.splitlines()]
        found = [line.groups() for line in lines if line]
        assert len(found) == len(lines), printed
        failing = {name: text for status, name, text in found if status == "FAIL"}
        # While settings are wrong, it is not known whether the last one is needed.
        assert list(dict.fromkeys(name for _, name, _ in found)) in (
            CHECKS,
            CHECKS[:-1] if "settings" in failing else (),
        )
        assert ended.value.code == (1 if failing else 0)
        return failing

    return run


def test_every_check_succeeds_and_prints_a_line(service: Service) -> None:
    command = [sys.executable, "-m", service.import_name, "doctor"]
    ended = subprocess.run(command, check=False, env=os.environ, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = dict(line.removeprefix("ok ").split(maxsplit=1) for line in ended.stdout.splitlines())
    assert list(lines) == CHECKS
    assert re.fullmatch(r"PostgreSQL \d+\.\d+, \d+ ms", lines["database"])
    assert re.fullmatch(r"all \d+ revisions are applied", lines["migrations"])
    assert lines["issuer"] == "keys fetched: 1"


def test_every_wrong_setting_is_a_line_also_of_a_module(
    monkeypatch: pytest.MonkeyPatch, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTES_LONGEST", "none")
    monkeypatch.setenv("API_BODY_LIMIT", "0")
    monkeypatch.delenv("SIGNING_KEYS")
    with pytest.raises(SystemExit, match="1"):
        service.main(["doctor"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert [re.split(r" is | +", line)[:4] for line in lines] == [
        ["FAIL", "settings", "SIGNING_KEYS", "missing,"],
        ["FAIL", "settings", "API_BODY_LIMIT", "wrong,"],
        ["FAIL", "settings", "NOTES_LONGEST", "wrong,"],
    ]
    assert all(", it accepts: " in line for line in lines)


def test_what_a_wrong_setting_keeps_from_a_check_is_said(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "none")
    failing = doctor()
    assert failing.pop("settings").startswith("WORKER_CONCURRENCY is wrong")
    assert failing == dict.fromkeys(OF_THE_DATABASE, "not checked: correct the settings first")


def test_a_server_that_is_too_old_is_named(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checks, "MIN_VERSION", 99)
    failing = doctor()
    assert re.fullmatch(r"PostgreSQL \d+\.\d+: use 99 or newer", failing.pop("database"))
    assert failing == {}


def test_a_database_that_is_away_fails_what_needs_it_alone(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:1/none")
    failing = doctor()
    assert list(failing) == OF_THE_DATABASE
    assert "check DATABASE_URL, and that the server runs" in failing["database"]
    assert failing["migrations"].startswith("the database is unavailable: ")


@contextmanager
def role(url: str, *statements: str) -> Generator[str]:
    """Lend the URL of a role that may do everything but what the statements take away."""
    name = f"role_{token_hex(4)}"
    asyncio.run(execute(url, *(each.format(role=name) for each in (GRANT, *statements))))
    parts = urlsplit(url)
    try:
        yield parts._replace(netloc=f"{name}:right@{parts.hostname}:{parts.port}").geturl()
    finally:
        asyncio.run(execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}"))


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("REVOKE DELETE ON notes FROM {role}", r"run GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO role_\w+"),
        ("ALTER ROLE {role} SET default_transaction_read_only = on", r"the database is read-only: name the primary .+"),
    ],
)
def test_what_the_role_may_not_do_is_said(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, url: str, statement: str, text: str
) -> None:
    with role(url, statement) as limited:
        monkeypatch.setenv("DATABASE_URL", limited)
        failing = doctor()
    assert list(failing) == ["database"]
    assert re.fullmatch(text, failing["database"])


def test_a_clock_that_differs_from_that_of_the_database_is_said(doctor: Doctor) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=1)):
        failing = doctor()
    assert list(failing) == ["database"]
    assert re.match(r"its clock differs from this machine's by (59|60|61) s", failing["database"])


def test_a_missing_revision_is_said_with_what_to_run(doctor: Doctor, url: str) -> None:
    asyncio.run(execute(url, "DELETE FROM alembic_version WHERE version_num = 'notes_0001'"))
    try:
        failing = doctor()
    finally:
        asyncio.run(execute(url, "INSERT INTO alembic_version VALUES ('notes_0001')"))
    assert failing == {"migrations": "1 revision behind, first notes_0001: run the command migrate"}


def test_notifications_that_do_not_arrive_are_said(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_LISTEN_URL", in_database(url, "postgres"))
    failing = doctor()
    assert list(failing) == ["listening"]
    assert "set DATABASE_LISTEN_URL to a direct connection to the same database" in failing["listening"]


def test_an_issuer_that_fails_is_said(doctor: Doctor, issuer: Issuer) -> None:
    issuer.status = 500
    failing = doctor()
    issuer.status = 200
    assert failing == {
        "issuer": "/.well-known/openid-configuration answers 500: check OIDC_ISSUER and OIDC_JWKS_URL, and that the "
        "issuer can be reached from here"
    }


def test_the_local_issuer_of_development_needs_no_server(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, service: Service
) -> None:
    assert service.auth
    for name, value in service.auth.development(service.name).items():
        monkeypatch.setenv(name, value)
    assert doctor() == {}


def test_a_server_of_nats_that_is_away_is_said(doctor: Doctor, broker: NatsServer) -> None:
    broker.kill()
    failing = doctor()
    assert list(failing) == ["nats"]
    assert failing["nats"].endswith(": check NATS_URL, and the permissions of its user")


def test_an_extra_that_is_missing_and_a_dsn_without_a_key_are_said(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_DSN", "https://tracker.example/1")
    assert doctor()["sentry"].startswith("SENTRY_DSN is wrong: ")
    for library, module in (("sentry_sdk", "_error_tracking"), ("opentelemetry.sdk.trace", "_export")):
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(sys.modules, f"chassis.ops.{module}", raising=False)
        monkeypatch.delattr(ops, module, raising=False)
    failing = doctor()
    assert list(failing) == ["collector", "sentry"]
    assert all("needs the extra" in text for text in failing.values())


def test_a_collector_that_is_away_or_silent_is_said(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (*free_ports(1), silent.getsockname()[1]):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
            failing = doctor()
            assert list(failing) == ["collector"]
            assert "OTEL_EXPORTER_OTLP_ENDPOINT" in failing["collector"]


def test_a_check_that_hangs_ends_no_other(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(_doctor, "LIMIT_SECONDS", 2.0)
    monkeypatch.setattr(_doctor, "check_collector", hang)
    assert doctor() == {"collector": "no answer in time: check the address and the network"}


def test_a_check_that_has_a_bug_is_no_traceback(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> str:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr(_doctor, "check_collector", fail)
    assert doctor() == {"collector": "unexpected RuntimeError"}


def test_no_secret_is_printed(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, url: str, broker: NatsServer) -> None:
    server = urlsplit(url)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://postgres:{PASSWORD}@{server.hostname}:{server.port}/postgres")
    monkeypatch.setenv("NATS_URL", f"tls://user:{PASSWORD}@127.0.0.1:{broker.port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:{PASSWORD}/@127.0.0.1:1")
    failing = doctor()
    assert list(failing) == [*OF_THE_DATABASE, "nats", "collector"]
    assert PASSWORD not in str(failing)
    monkeypatch.setenv("SIGNING_KEYS", PASSWORD)
    assert PASSWORD not in str(doctor())


def test_what_a_service_does_not_use_is_not_checked(
    monkeypatch: pytest.MonkeyPatch, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    monkeypatch.delenv("SENTRY_DSN")
    monkeypatch.setenv("DATABASE_LISTEN_URL", "none")
    with pytest.raises(SystemExit, match="0"):
        replace(service, auth=None, events=None).main(["doctor"])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == CHECKS[:4]
