"""A token is believed when everything about it is right, and in no other case."""

import json
from collections.abc import Callable
from time import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from httpx import AsyncClient
from jwt.algorithms import ECAlgorithm

from chassis.data import Database
from chassis.identity.oidc import _tokens as tokens

from tests.identity.oidc.conftest import AUDIENCE, Issuer, believing, encoded, make_key, status

# What Cognito says that a token is for.
ACCESS, IDENTITY = "access", "id"
THIEF = make_key()
KEY = {"idempotency-key": "a"}
JWK = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
GOOD = {"alg": "RS256", "typ": "JWT", "kid": "first"}


def public_pem(issuer: Issuer) -> bytes:
    return issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def unsigned(issuer: Issuer, algorithm: str) -> str:
    return f"{encoded(GOOD | {'alg': algorithm})}.{encoded(issuer.claims())}."


def raw(issuer: Issuer, before: str, **claims: object) -> str:
    """Sign claims with some more JSON text before them."""
    return issuer.signed(GOOD, b"{" + before.encode() + b"," + json.dumps(issuer.claims(**claims)).encode()[1:])


HOSTILE: dict[str, Callable[[Issuer], str]] = {
    "alg none": lambda i: unsigned(i, "none"),
    "alg None": lambda i: unsigned(i, "NoNe"),
    "alg RS256 without a signature": lambda i: unsigned(i, "RS256"),
    "HS256 with the public key as secret": lambda i: i.signed(GOOD | {"alg": "HS256"}, i.claims(), public_pem(i)),
    "HS256 with an empty secret": lambda i: i.signed(GOOD | {"alg": "HS256"}, i.claims(), b"\0"),
    "alg RS512 on a signature of RS256": lambda i: i.token({"alg": "RS512"}),
    "alg ES256 on a signature of RS256": lambda i: i.token({"alg": "ES256"}),
    "alg PS256, which is not allowed": lambda i: i.token({"alg": "PS256"}),
    "alg missing": lambda i: i.token({"alg": None}),
    "alg a list": lambda i: i.token({"alg": ["RS256"]}),
    "another's key": lambda i: i.token(key=THIEF),
    "kid missing, another's key": lambda i: i.token({"kid": None}, THIEF),
    "kid null": lambda i: i.signed(GOOD | {"kid": None}, i.claims()),
    "kid unknown": lambda i: i.token({"kid": "second"}),
    "kid a number": lambda i: i.token({"kid": 1}),
    "kid a path": lambda i: i.token({"kid": "../../../../dev/null"}),
    "kid SQL": lambda i: i.token({"kid": "first' UNION SELECT 'x"}),
    "kid an address": lambda i: i.token({"kid": f"{i.url}/keys"}),
    "kid with NUL": lambda i: i.token({"kid": "first\0"}),
    "kid huge": lambda i: i.token({"kid": "k" * 5000}),
    "jku": lambda i: i.token({"jku": f"{i.url}/evil", "kid": "evil"}, THIEF),
    "jku on a good token": lambda i: i.token({"jku": f"{i.url}/keys"}),
    "x5u": lambda i: i.token({"x5u": f"{i.url}/evil"}),
    "x5c": lambda i: i.token({"x5c": ["MIIB"]}),
    "jwk": lambda i: i.token({"jwk": JWK}, THIEF),
    "crit": lambda i: i.token({"crit": ["exp"]}),
    "crit empty": lambda i: i.token({"crit": []}),
    "b64 false": lambda i: i.token({"b64": False, "crit": ["b64"]}),
    "b64 false, not critical": lambda i: i.token({"b64": False}),
    "zip": lambda i: i.token({"zip": "DEF"}),
    "cty of a nested token": lambda i: i.signed(GOOD | {"cty": "JWT"}, i.token().encode()),
    "a token in a token": lambda i: i.signed(GOOD, i.token().encode()),
    "JWE": lambda _: ".".join([encoded({"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "first"}), "a", "b", "c", "d"]),
    "JWE header on a JWS": lambda i: i.token({"enc": "A128GCM"}),
    "typ of an ID token": lambda i: i.token({"typ": "id_token"}),
    "typ of a logout token": lambda i: i.token({"typ": "logout+jwt"}),
    "typ of a proof": lambda i: i.token({"typ": "dpop+jwt"}),
    "typ a number": lambda i: i.token({"typ": 1}),
    "typ of a claim, an ID token of Keycloak": lambda i: i.token(typ="ID"),
    "typ of a claim, a refresh token of Keycloak": lambda i: i.token(typ="Refresh"),
    "token_use of an ID token of Cognito": lambda i: i.token(token_use=IDENTITY),
    "at_hash of an ID token": lambda i: i.token(at_hash="abc"),
    "cnf of a bound token": lambda i: i.token(cnf={"jkt": "abc"}),
    "exp missing": lambda i: i.token(exp=None),
    "exp past": lambda i: i.token(exp=int(time()) - 61),
    "exp now": lambda i: i.token(exp=int(time()) - 11),
    "exp text": lambda i: i.token(exp=str(int(time()) + 60)),
    "exp true": lambda i: i.token(exp=True),
    "exp infinite": lambda i: i.token(exp=float("inf")),
    "exp NaN": lambda i: i.token(exp=float("nan")),
    "exp 1e999": lambda i: raw(i, '"exp":1e999', exp=None),
    "exp of 3,000 digits": lambda i: raw(i, f'"exp":{"9" * 3000}', exp=None),
    "exp of 5,000 digits": lambda i: raw(i, f'"exp":{"9" * 5000}', exp=None),
    "exp negative": lambda i: i.token(exp=-1),
    "exp a list": lambda i: i.token(exp=[int(time()) + 60]),
    "iat missing": lambda i: i.token(iat=None),
    "iat in the future": lambda i: i.token(iat=int(time()) + 71),
    "iat true": lambda i: i.token(iat=True),
    "nbf in the future": lambda i: i.token(nbf=int(time()) + 71),
    "nbf text": lambda i: i.token(nbf="0"),
    "aud missing": lambda i: i.token(aud=None),
    "aud another": lambda i: i.token(aud="https://other.example.org"),
    "aud empty": lambda i: i.token(aud=[]),
    "aud of numbers": lambda i: i.token(aud=[1]),
    "aud with a slash more": lambda i: i.token(aud=f"{AUDIENCE}/"),
    "aud in client_id, without token_use": lambda i: i.token(aud=None, client_id=AUDIENCE),
    "iss missing": lambda i: i.token(iss=None),
    "iss another": lambda i: i.token(iss="https://evil.example.org"),
    "iss with a slash more": lambda i: i.token(iss=f"{i.url}/"),
    "iss of development": lambda i: i.token(iss="urn:development"),
    "sub missing": lambda i: i.token(sub=None),
    "sub a number": lambda i: i.token(sub=1),
    "sub empty": lambda i: i.token(sub=""),
    "sub with NUL": lambda i: i.token(sub="alice\0"),
    "sub with a line end": lambda i: i.token(sub="alice\nadmin"),
    "sub with half a surrogate pair": lambda i: i.token(sub="alice\ud800"),
    "sub of 256": lambda i: i.token(sub="a" * 256),
    "sub of 5,000": lambda i: i.token(sub="a" * 5000),
    "a claim twice": lambda i: raw(i, '"sub":"bob"'),
    "alg twice": lambda i: i.signed(b'{"alg":"none","alg":"RS256","typ":"JWT","kid":"first"}', i.claims()),
    "signature cut": lambda i: i.token()[:-10],
    "no signature": lambda i: i.token().rpartition(".")[0],
    "a dot more": lambda i: f"{i.token()}.",
    "a segment more": lambda i: f"{i.token()}.abc",
    "dots alone": lambda _: "..",
    "base64 with padding": lambda i: i.token().replace(".", "=.", 1),
    "base64 of the other alphabet": lambda i: f"+/+/.{i.token().partition('.')[2]}",
    "one letter": lambda _: "a.b.c",
    "payload no JSON": lambda i: i.signed(GOOD, b"hello"),
    "payload a list": lambda i: i.signed(GOOD, []),
    "payload a text": lambda i: i.signed(GOOD, "hello"),
    "payload no UTF-8": lambda i: i.signed(GOOD, b"\xff\xfe"),
    "payload UTF-16": lambda i: i.signed(GOOD, json.dumps(i.claims()).encode("utf-16")),
    "payload empty": lambda i: i.signed(GOOD, b""),
    "payload nested 3,000 deep": lambda i: i.signed(GOOD, b'{"a":' * 1000),
    "payload of brackets": lambda i: i.signed(GOOD, b"[" * 4000),
    "header no JSON": lambda i: i.signed(b"hello", i.claims()),
    "header of brackets": lambda i: i.signed(b"[" * 4000, i.claims()),
    "longer than 16 KiB": lambda i: i.token(groups="a" * 12_200),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_is_refused(caller: AsyncClient, issuer: Issuer, name: str) -> None:
    answer = await caller.get("/v1/notes", headers={"authorization": f"Bearer {HOSTILE[name](issuer)}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:problem-type:unauthorized"
    assert not {"/evil", "/dev/null"}.intersection(issuer.requests)


GOOD_TOKENS: dict[str, Callable[[Issuer], str]] = {
    "as Auth0 and Keycloak": lambda i: i.token(azp="web", typ="Bearer"),
    "after RFC 9068": lambda i: i.token({"typ": "at+jwt"}, client_id="web", jti="1"),
    "as Entra, scopes in scp": lambda i: i.token(scope=None, scp="notes:read notes:write", ver="2.0"),
    "as Okta, scopes in a list": lambda i: i.token(scope=None, scp=["notes:read", "notes:write", 1]),
    "as Cognito": lambda i: i.token({"typ": None}, aud=None, client_id=AUDIENCE, token_use=ACCESS),
    "as Okta, with a header of kid and alg": lambda i: i.token({"typ": None}, cid="web", uid="00u1"),
    "kid missing": lambda i: i.token({"kid": None}),
    "nearly 16 KiB, with groups": lambda i: i.token(groups="a" * 11_700),
    "aud of several": lambda i: i.token(aud=["web", "other"]),
    "times with fractions": lambda i: i.token(exp=time() + 60.5, iat=time(), nbf=time()),
    "the issuer's clock a little ahead": lambda i: i.token(iat=int(time()) + 5),
}


@pytest.mark.parametrize("name", GOOD_TOKENS)
async def test_a_good_token_is_believed(caller: AsyncClient, issuer: Issuer, name: str) -> None:
    assert await status(caller, GOOD_TOKENS[name](issuer)) == 200


@pytest.mark.parametrize("scope", [None, "", "notes:reader", "notes:*", ["notes", ":read"], {"notes:read": True}, 7])
async def test_a_token_lets_do_what_its_scopes_say(caller: AsyncClient, issuer: Issuer, scope: object) -> None:
    assert await status(caller, issuer.token(scope=scope)) in {401, 403}


async def test_scopes_with_the_issuers_prefix_are_the_ones_that_count(
    monkeypatch: pytest.MonkeyPatch, issuer: Issuer, api: FastAPI, database: Database
) -> None:
    monkeypatch.setenv("OIDC_SCOPE_PREFIX", "bakery/")
    monkeypatch.setenv("OIDC_SCOPE_CLAIMS", "permissions")
    async with believing(api, database) as caller:
        assert await status(caller, issuer.token(permissions=["bakery/notes:read"])) == 200
        assert await status(caller, issuer.token(permissions=["notes:read"])) == 403


PROJECT_ROLES = "urn:zitadel:iam:org:project:7:roles"
CLAIMS_OF_ROLES: dict[str, tuple[str, dict[str, Any]]] = {
    "Keycloak, realm": ("realm_access.roles", {"realm_access": {"roles": ["notes:read"]}}),
    "Keycloak, client": ("resource_access.notes.roles", {"resource_access": {"notes": {"roles": ["notes:read"]}}}),
    "a client with dots": ("resource_access.a.b.roles", {"resource_access": {"a.b": {"roles": ["notes:read"]}}}),
    "a claim with dots": ("https://example.org/roles", {"https://example.org/roles": ["notes:read"]}),
    "text in an object": ("access.scope", {"access": {"scope": "notes:read notes:write"}}),
    "Zitadel": (PROJECT_ROLES, {PROJECT_ROLES: {"notes:read": {"344373": "example.org"}}}),
}
OTHER_CLAIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "not set": ("scope", {"realm_access": {"roles": ["notes:read"]}}),
    "another client": ("resource_access.notes.roles", {"resource_access": {"other": {"roles": ["notes:read"]}}}),
    "the object alone": ("realm_access", {"realm_access": {"roles": ["notes:read"]}}),
    "a list for an object": ("realm_access.roles", {"realm_access": ["roles", "notes:read"]}),
    "text for an object": ("realm_access.roles", {"realm_access": "notes:read"}),
    "null for an object": ("realm_access.roles", {"realm_access": None, "roles": ["notes:read"]}),
    "a role of Zitadel that nobody grants": (PROJECT_ROLES, {PROJECT_ROLES: {"notes:read": {}}}),
    "an object that grants nothing": ("scope", {"scope": {"notes:read": True}}),
}


@pytest.mark.parametrize("name", CLAIMS_OF_ROLES | OTHER_CLAIMS)
async def test_scopes_are_read_from_the_claims_that_are_named_and_no_others(
    monkeypatch: pytest.MonkeyPatch, issuer: Issuer, api: FastAPI, database: Database, name: str
) -> None:
    named, claims = (CLAIMS_OF_ROLES | OTHER_CLAIMS)[name]
    monkeypatch.setenv("OIDC_SCOPE_CLAIMS", named)
    token = issuer.signed(GOOD, issuer.claims(scope=None) | claims)
    async with believing(api, database) as caller:
        assert await status(caller, token) == (200 if name in CLAIMS_OF_ROLES else 403)


async def test_the_subject_owns_what_it_makes(caller: AsyncClient, issuer: Issuer) -> None:
    alice, bob = ({"authorization": f"Bearer {issuer.token(sub=name)}"} for name in ("alice", "bob"))
    url = (await caller.post("/v1/notes", json={"text": "a"}, headers=alice | KEY)).headers["location"]
    assert (await caller.get(url, headers=alice)).status_code == 200
    assert (await caller.get(url, headers=bob)).status_code == 404


async def test_a_token_that_was_believed_ends_when_it_expires(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token()
    assert await status(caller, token) == 200
    now = time()
    monkeypatch.setattr(tokens, "time", lambda: now + 599)
    assert await status(caller, token) == 200
    monkeypatch.setattr(tokens, "time", lambda: now + 611)
    assert await status(caller, token) == 401


async def test_a_token_is_verified_once_in_a_while_and_few_are_kept(
    api: FastAPI, caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verifier: Any = api.state.authenticate
    verify = verifier._jws.decode  # noqa: SLF001  # what costs

    def counting(token: str, *arguments: Any, **options: Any) -> object:  # noqa: ANN401  # the library's
        verified.append(token)
        return verify(token, *arguments, **options)

    monkeypatch.setattr(verifier._jws, "decode", counting)  # noqa: SLF001
    monkeypatch.setattr(tokens, "MAX_KEPT", 3)
    made = [issuer.token(sub=f"user{number}") for number in range(5)]
    for token in [*made, *made[2:]]:
        assert await status(caller, token) == 200
    assert verified == made
    assert len(verifier._kept) == 3  # noqa: SLF001
    assert not any(token.encode() in verifier._kept for token in made)  # noqa: SLF001
    now = time()
    monkeypatch.setattr(tokens, "time", lambda: now + tokens.MAX_KEPT_SECONDS + 1)
    assert await status(caller, made[4]) == 200
    assert verified == [*made, made[4]]


async def test_an_elliptic_key_is_believed_for_its_own_algorithm(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = {k: v for k, v in ECAlgorithm.to_jwk(key, as_dict=True).items() if k != "d"} | {"kid": "curve"}
    others = [
        *({"kty": "oct", "k": "AA", "kid": "secret"}, {"kty": "RSA", "kid": "broken"}, {"use": "enc"}),
        jwk | {"kid": ["curve"]},
    ]
    documents = issuer.documents() | {"/keys": {"keys": [*others, jwk]}}
    monkeypatch.setattr(issuer, "documents", lambda: documents)
    token = jwt.encode(issuer.claims(), key, "ES256", headers={"kid": "curve"})
    assert await status(caller, token) == 200
