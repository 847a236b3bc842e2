"""The local issuer: keys made once for their owner, believed in development and refused everywhere else."""

from pathlib import Path

import pytest
from fastapi import FastAPI

from chassis.data import Database
from chassis.identity.oidc import _development as development
from chassis.identity.oidc import oidc
from chassis.identity.oidc._settings import OidcSettings
from chassis.runtime import Service
from chassis.settings import SettingsError, load

from tests.identity.oidc.conftest import believing, status

TOKEN = ["token", "--subject", "alice", "--scope", "notes:read"]


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file for the keys, and the variables that the recipes set."""
    file = tmp_path / "made" / "issuer.json"
    for name, value in {"ISSUER": development.ISSUER, "AUDIENCE": "here", "DEVELOPMENT_KEYS": str(file)}.items():
        monkeypatch.setenv(f"OIDC_{name}", value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/none")
    return file


@pytest.mark.usefixtures("keys")
async def test_a_printed_token_is_believed(
    service: Service, capsys: pytest.CaptureFixture[str], api: FastAPI, database: Database
) -> None:
    async with believing(api, database) as client:
        service.main(TOKEN)
        token = capsys.readouterr().out.strip()
        assert await status(client, token) == 200


async def test_a_token_that_has_expired_or_is_of_other_keys_is_refused(
    keys: Path, monkeypatch: pytest.MonkeyPatch, api: FastAPI, database: Database
) -> None:
    async with believing(api, database) as client:
        assert await status(client, development.issue("alice", "notes:read", 60)) == 200
        assert await status(client, development.issue("alice", "notes:read", -20)) == 401
        monkeypatch.setenv("OIDC_DEVELOPMENT_KEYS", str(keys.with_name("another.json")))
        assert await status(client, development.issue("alice", "notes:read", 60)) == 401


def test_the_keys_are_made_once_for_their_owner_alone(keys: Path) -> None:
    first, again = development.private_key(keys), development.private_key(keys)
    assert first == again
    assert keys.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in keys.parent.iterdir()] == [keys.name]


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("name", "value"),
    [("API_HOST", "0.0.0.0"), ("API_HOST", "10.0.0.7"), ("OIDC_DEVELOPMENT_KEYS", "")],  # noqa: S104  # it is refused
)
async def test_production_refuses_the_local_issuer(
    monkeypatch: pytest.MonkeyPatch, database: Database, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="OIDC_ISSUER is wrong: urn:development requires a loopback API_HOST"):
        async with oidc.open(database):
            pass


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_ISSUER", ""),
        ("OIDC_ISSUER", "http://issuer.example.org"),
        ("OIDC_ISSUER", "https://"),
        ("OIDC_ISSUER", "file:///tmp/keys"),
        ("OIDC_AUDIENCE", ""),
        ("OIDC_AUDIENCE", " , "),
        ("OIDC_JWKS_URL", "http://issuer.example.org/keys"),
        ("OIDC_ALGORITHMS", "HS256"),
        ("OIDC_ALGORITHMS", "RS256,none"),
        ("OIDC_ALGORITHMS", ""),
        ("OIDC_LEEWAY", "61"),
        ("OIDC_SCOPE_CLAIMS", ""),
    ],
)
def test_a_setting_that_would_weaken_it_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"{name} is (wrong|empty), it accepts: "):
        load(OidcSettings)


def test_nothing_is_believed_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OIDC_ISSUER", "OIDC_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match=r"OIDC_ISSUER is missing.*; OIDC_AUDIENCE is missing"):
        load(OidcSettings)
