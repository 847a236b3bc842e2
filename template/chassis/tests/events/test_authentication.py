"""A worker authenticates to NATS with a password or a credentials file, and encrypts where TLS is asked for."""

import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import nkeys  # type: ignore[import-untyped]  # it has no types
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import (
    AuthorityKeyIdentifier,
    BasicConstraints,
    CertificateBuilder,
    ExtensionType,
    IPAddress,
    KeyUsage,
    Name,
    NameAttribute,
    SubjectAlternativeName,
    SubjectKeyIdentifier,
    random_serial_number,
)
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from chassis.data import Database
from chassis.dev.nats import NatsServer
from chassis.events import ExternalEvent, _exchange, subscribe
from chassis.events._broker import NotUsable, connected
from chassis.events._settings import NatsSettings
from chassis.jobs import Transaction
from chassis.settings import SettingsError, load

from tests.events.conftest import SERVICE, Publish, Running, SampleTaken
from tests.events.test_publishing import has_logged, is_published, reason_in
from tests.jobs.conftest import until

# A password with reserved characters, and its percent-encoded form.
PASSWORD, ENCODED = "c4n@ry/5%41#?", "c4n%40ry%2F5%2541%23%3F"
AWAY = "NATS unavailable, events wait"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exchange, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(_exchange, "LEAD_SECONDS", 2.0)
    monkeypatch.setenv("NATS_TIMEOUT", "0.5")


type Serve = Callable[..., NatsServer]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Serve]:
    """Start a server with a configuration, or start it again with another; NATS_URL is its address."""
    path = tmp_path / "nats.conf"
    server = NatsServer(tmp_path / "nats", "-c", str(path))

    def start(configuration: Mapping[str, object], scheme: str = "nats", user: str = "") -> NatsServer:
        server.stop()
        path.write_text(json.dumps(configuration), encoding="utf-8")
        server.start()
        monkeypatch.setenv("NATS_URL", f"{scheme}://{user}127.0.0.1:{server.port}")
        return server

    yield start
    server.kill()


async def reason_to_wait(publish: Publish, running: Running) -> str:
    """Return why the events of a worker wait."""
    await publish(SampleTaken())
    with capture_logs() as logs:
        async with running():
            await until(lambda: has_logged(logs, AWAY))
    return reason_in(logs)


def allow(password: str, **permissions: object) -> dict[str, object]:
    """Let a user in, who may do everything unless there are permissions."""
    user = {"user": "worker", "password": password, **({"permissions": permissions} if permissions else {})}
    return {"authorization": {"users": [user]}}


async def test_a_password_is_decoded_from_the_url(
    database: Database, serve: Serve, publish: Publish, running: Running
) -> None:
    serve(allow(PASSWORD), user=f"worker:{ENCODED}@")
    await publish(SampleTaken())
    async with running():
        await until(lambda: is_published(database))


async def test_a_wrong_password_is_logged_once_without_it_and_tried_until_it_is_right(
    database: Database, serve: Serve, publish: Publish, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    serve(allow("another"), user=f"worker:{ENCODED}@")
    await publish(SampleTaken())
    with capture_logs() as logs:
        async with running():
            await until(lambda: has_logged(logs, AWAY))
            serve(allow(PASSWORD))
            await until(lambda: is_published(database))
            await until(lambda: has_logged(logs, "NATS available again"))
    assert [entry["event"] for entry in logs if "NATS" in str(entry["event"])] == [AWAY, "NATS available again"]
    assert reason_in(logs) == "nats: 'Authorization Violation'"
    assert [secret for secret in (PASSWORD, ENCODED) if secret in f"{logs} {caplog.text}"] == []


async def test_the_reason_names_the_permission_that_the_user_lacks(
    serve: Serve, publish: Publish, running: Running
) -> None:
    serve(allow(PASSWORD, publish="$JS.API.>"), user=f"worker:{ENCODED}@")
    reason = await reason_to_wait(publish, running)
    assert "permissions violation for publish to" in reason
    assert f"events.{SERVICE}.samples.taken.v1" in reason


async def test_the_reason_says_that_nothing_listens_at_the_address(
    serve: Serve, publish: Publish, running: Running
) -> None:
    serve({}).kill()
    assert "Connect" in await reason_to_wait(publish, running)


class Operator:
    """An operator with an account, whose users a server lets in that trusts the operator."""

    def __init__(self) -> None:
        self._operator = _key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account, self._system = (_key(nkeys.PREFIX_BYTE_ACCOUNT) for _ in range(2))

    def configuration(self) -> dict[str, object]:
        unlimited = dict.fromkeys(("subs", "data", "payload", "conn", "mem_storage", "disk_storage"), -1)
        return {
            "operator": _signed(self._operator, self._operator, type="operator"),
            "resolver": "MEMORY",
            "resolver_preload": {
                _public(self._account): _signed(self._operator, self._account, type="account", limits=unlimited),
                _public(self._system): _signed(self._operator, self._system, type="account"),
            },
            "system_account": _public(self._system),
        }

    def credentials(self) -> str:
        """Create a user with the permissions that `docs/events.md` names."""
        user = _key(nkeys.PREFIX_BYTE_USER)
        permissions = {"pub": {"allow": [f"events.{SERVICE}.>", "$JS.API.>"]}, "sub": {"allow": ["_INBOX.>"]}}
        token = _signed(self._account, user, type="user", subs=-1, data=-1, payload=-1, **permissions)
        assert user.seed
        parts = {"NATS USER JWT": token, "USER NKEY SEED": user.seed.decode()}
        return "\n".join(
            f"{'-' * 5}BEGIN {name}{'-' * 5}\n{text}\n{'-' * 6}END {name}{'-' * 6}\n" for name, text in parts.items()
        )


def _key(kind: int) -> nkeys.KeyPair:
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), kind))


def _public(key: nkeys.KeyPair) -> str:
    return bytes(key.public_key).decode()


def _signed(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, **claims: object) -> str:
    """Write a token of version 2 (https://docs.nats.io/reference/nats-server/jwt)."""
    header = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {"jti": "1", "iat": 0, "iss": _public(issuer), "sub": _public(subject), "nats": {"version": 2, **claims}}
    text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, body))
    return f"{text}.{_encoded(issuer.sign(text.encode()))}"


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


type Keep = Callable[[str], None]


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Write the file that NATS_CREDENTIALS names."""
    path = tmp_path / "worker.creds"
    monkeypatch.setenv("NATS_CREDENTIALS", str(path))

    def write(text: str) -> None:
        path.write_bytes(text.encode())

    return write


class Taken(ExternalEvent):
    text: str


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
async def test_events_leave_and_come_with_a_credentials_file_and_the_documented_permissions(
    serve: Serve, keep: Keep, publish: Publish, running: Running, line_end: str
) -> None:
    handled: list[str] = []

    async def on_taken(event: Taken, _transaction: Transaction) -> None:
        handled.append(event.text)

    async def is_handled() -> bool:
        return handled == ["tea"]

    operator = Operator()
    serve(operator.configuration())
    keep(operator.credentials().replace("\n", line_end))
    await publish(SampleTaken(text="tea"))
    async with running(subscribe(f"{SERVICE}.samples.taken.v1", Taken, on_taken)):
        await until(is_handled)


async def test_a_credentials_file_is_read_for_each_connection(
    database: Database, serve: Serve, keep: Keep, publish: Publish, running: Running
) -> None:
    operator = Operator()
    serve(operator.configuration())
    keep(Operator().credentials())
    await publish(SampleTaken())
    with capture_logs() as logs:
        async with running():
            await until(lambda: has_logged(logs, AWAY))
            assert reason_in(logs) == "nats: 'Authorization Violation'"
            keep(operator.credentials())
            await until(lambda: is_published(database))


async def test_a_credentials_file_that_is_emptied_while_the_worker_runs_does_not_stop_it(
    serve: Serve, keep: Keep
) -> None:
    operator = Operator()
    serve(operator.configuration())
    keep(operator.credentials())
    settings = load(NatsSettings)
    keep("")
    with pytest.raises(NotUsable, match="NATS_CREDENTIALS"):
        async with connected(settings, SERVICE):
            pass


def without(text: str) -> Callable[[str], str]:
    return lambda credentials: credentials.replace(text, "")


MALFORMED: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "without a token": without("BEGIN NATS USER JWT"),
    "without a seed": without("BEGIN USER NKEY SEED"),
    "with the seed of an account": lambda credentials: credentials.replace("\nSUA", "\nSAA"),
    "cut off": lambda credentials: credentials[:-50],
}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_credentials_file_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, keep: Keep, malformed: Callable[[str], str]
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1")
    keep(credentials := Operator().credentials())
    load(NatsSettings)
    keep(malformed(credentials))
    with pytest.raises(SettingsError, match=r"\ANATS_CREDENTIALS is wrong, it accepts: path of a credentials file.*\Z"):
        load(NatsSettings)


PEM = serialization.Encoding.PEM
# All that Python asks of an authority; the flags have no defaults.
FLAGS = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
SIGNS = (BasicConstraints(ca=True, path_length=None), KeyUsage(**{flag: flag == "key_cert_sign" for flag in FLAGS}))


class Authority:
    """Signs certificates of servers."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "ca.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._write(self.path, self._key, *SIGNS)

    def tls(self, address: str = "127.0.0.1") -> dict[str, object]:
        """Return the part of a configuration, with a certificate for a server at an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, secret = self._folder / "server.pem", self._folder / "server.key"
        self._write(certificate, key, SubjectAlternativeName([IPAddress(ip_address(address))]))
        form = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(PEM, form, serialization.NoEncryption()))
        return {"tls": {"cert_file": str(certificate), "key_file": str(secret)}}

    def _write(self, path: Path, key: ec.EllipticCurvePrivateKey, *extensions: ExtensionType) -> None:
        builder = (
            CertificateBuilder()
            .issuer_name(Name([NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .subject_name(Name([NameAttribute(NameOID.COMMON_NAME, path.stem)]))
            .public_key(key.public_key())
            .serial_number(random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(datetime.now(UTC) + timedelta(days=1))
            .add_extension(SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=extension in SIGNS)
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(PEM))


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """What NATS_TLS_CA trusts."""
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("NATS_TLS_CA", str(authority.path))
    return authority


@pytest.mark.parametrize("scheme", ["nats", "tls"])
@pytest.mark.parametrize("required", [True, False], ids=["required", "offered"])
async def test_a_connection_is_encrypted(  # noqa: PLR0913  # fixtures
    database: Database,
    serve: Serve,
    authority: Authority,
    publish: Publish,
    running: Running,
    *,
    scheme: str,
    required: bool,
) -> None:
    serve(allow(PASSWORD) | authority.tls() | {"allow_non_tls": not required}, scheme, f"worker:{ENCODED}@")
    await publish(SampleTaken())
    async with running():
        await until(lambda: is_published(database))


async def test_a_certificate_of_another_authority_is_refused(
    tmp_path: Path, serve: Serve, authority: Authority, publish: Publish, running: Running
) -> None:
    del authority
    serve(Authority(tmp_path / "another").tls(), "tls")
    assert "certificate verify failed" in await reason_to_wait(publish, running)


async def test_a_certificate_of_another_server_is_refused(
    serve: Serve, authority: Authority, publish: Publish, running: Running
) -> None:
    serve(authority.tls("127.0.0.2"), "tls")
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in await reason_to_wait(publish, running)


async def test_no_password_is_sent_to_a_server_without_tls(serve: Serve, publish: Publish, running: Running) -> None:
    serve(allow(PASSWORD), "tls", f"worker:{ENCODED}@")
    assert "no TLS" in await reason_to_wait(publish, running)


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_malformed_certificates_are_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, text: str
) -> None:
    monkeypatch.setenv("NATS_URL", "tls://127.0.0.1")
    load(NatsSettings)
    authority.path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\ANATS_TLS_CA is wrong, it accepts: path of the certificates.*\Z"):
        load(NatsSettings)


@pytest.mark.parametrize("name", ["NATS_CREDENTIALS", "NATS_TLS_CA"])
@pytest.mark.parametrize("path", ["missing", "."])
def test_a_file_that_is_missing_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, name: str, path: str) -> None:
    monkeypatch.setenv("NATS_URL", "tls://127.0.0.1")
    monkeypatch.setenv(name, path)
    with pytest.raises(SettingsError, match=rf"\A{name} is wrong, it accepts: path of .*\Z"):
        load(NatsSettings)
