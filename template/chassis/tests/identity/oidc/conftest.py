"""An issuer on a port of this machine, with a key of its own, that can be asked to misbehave."""

import base64
import hmac
import json
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import FastAPI
from httpx import AsyncClient
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from chassis.data import Database
from chassis.identity.oidc import oidc
from chassis.testing import client_of

AUDIENCE = "https://api.example.org"
SCOPE = "notes:read notes:write"

type AnyKey = RSAPrivateKey | EllipticCurvePrivateKey


def make_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def public_jwk(key: AnyKey, **more: object) -> dict[str, Any]:
    """Describe the public half of a key, without `alg`, as Entra does."""
    if isinstance(key, RSAPrivateKey):
        parts = RSAAlgorithm.to_jwk(key, as_dict=True)
    else:
        parts = ECAlgorithm.to_jwk(key, as_dict=True)
    return {name: value for name, value in parts.items() if name in {"kty", "n", "e", "crv", "x", "y"}} | more


def encoded(part: object) -> str:
    """Encode a segment: bytes as they are, anything else as JSON."""
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


class Issuer:
    """What it answers and counts; tests change it as they like, `fresh` puts it back."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = make_key()
        self.fresh()

    def fresh(self) -> None:
        self.requests: list[str] = []
        self.keys: dict[str, Any] = {"first": self.key}
        self.listed: list[dict[str, Any]] = []
        self.status = 200
        self.discovery: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}

    def documents(self) -> dict[str, object]:
        keys = self.listed or [public_jwk(key, kid=kid, use="sig") for kid, key in self.keys.items()]
        return {"/.well-known/openid-configuration": self.discovery, "/keys": {"keys": keys}}

    def claims(self, **changes: object) -> dict[str, Any]:
        """Give good claims with these changes; None takes one away."""
        now = int(time())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600, "scope": SCOPE}
        return {name: value for name, value in (good | changes).items() if value is not None}

    def signed(self, header: object, payload: object, key: Any = None) -> str:  # noqa: ANN401  # RSA or bytes
        signing = f"{encoded(header)}.{encoded(payload)}"
        key = key or self.key
        if isinstance(key, bytes):
            signature = hmac.digest(key, signing.encode(), "sha256")
        else:
            signature = key.sign(signing.encode(), PKCS1v15(), SHA256())
        return f"{signing}.{encoded(signature)}"

    def token(self, header: dict[str, object] | None = None, key: RSAPrivateKey | None = None, **claims: object) -> str:
        made = {"alg": "RS256", "typ": "JWT", "kid": "first"} | (header or {})
        return self.signed({k: v for k, v in made.items() if v is not None}, self.claims(**claims), key)


@contextmanager
def listen(tls: ssl.SSLContext | None = None) -> Generator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.requests.append(self.path)
            self.send_response(found.status)
            if 300 <= found.status < 400:
                self.send_header("location", f"{found.url}/keys")
            self.end_headers()
            self.wfile.write(json.dumps(found.documents().get(self.path, {})).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's word
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        found = Issuer(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def listening() -> Generator[Issuer]:
    with listen() as issuer:
        yield issuer


@pytest.fixture
def issuer(listening: Issuer, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    """The issuer that the settings name."""
    listening.fresh()
    name_in_settings(listening, monkeypatch)
    return listening


def name_in_settings(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ISSUER": issuer.url, "AUDIENCE": f"other, {AUDIENCE}"}.items():
        monkeypatch.setenv(f"OIDC_{name}", value)


@asynccontextmanager
async def believing(api: FastAPI, database: Database) -> AsyncGenerator[AsyncClient]:
    """Let the API believe whom the settings name, and give a client without a token."""
    async with oidc.open(database) as authenticate, client_of(api) as client:
        api.state.authenticate = authenticate
        del client.headers["authorization"]
        yield client


@pytest.fixture
async def caller(issuer: Issuer, api: FastAPI, database: Database) -> AsyncGenerator[AsyncClient]:
    """A client without a token, of an API that believes the issuer."""
    assert issuer
    async with believing(api, database) as client:
        yield client


async def status(client: AsyncClient, token: str) -> int:
    return (await client.get("/v1/notes", headers={"authorization": f"Bearer {token}"})).status_code


@contextmanager
def away(issuer: Issuer) -> Generator[None]:
    """Let the issuer fail for a while."""
    issuer.status = 500
    yield
    issuer.status = 200
