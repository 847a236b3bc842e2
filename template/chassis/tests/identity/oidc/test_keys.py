"""The issuer's keys: found where it says, fetched anew when one is missing, kept while it is away."""

import asyncio
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from httpx import AsyncClient
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from chassis.data import Database
from chassis.identity.oidc import _keys as keys

from tests.authority import Authority
from tests.identity.oidc.conftest import (
    AnyKey,
    Issuer,
    away,
    believing,
    listen,
    make_key,
    name_in_settings,
    public_jwk,
    status,
)

DISCOVERY = "/.well-known/openid-configuration"
RSA = make_key()
P_256, P_384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())


async def test_the_keys_are_discovered_once_for_many_at_once(caller: AsyncClient, issuer: Issuer) -> None:
    answers = await asyncio.gather(*(status(caller, issuer.token(sub=f"user{number}")) for number in range(20)))
    assert set(answers) == {200}
    assert issuer.requests == [DISCOVERY, "/keys"]


def fetches(outcome: str) -> float:
    return REGISTRY.get_sample_value("oidc_key_fetches_total", {"outcome": outcome}) or 0


async def test_fetches_of_keys_are_counted_by_their_outcome(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok, error = fetches("ok"), fetches("error")
    assert await status(caller, issuer.token(sub="before")) == 200
    assert (fetches("ok"), fetches("error")) == (ok + 1, error)
    monkeypatch.setattr(keys, "FLOOR_SECONDS", 0.0)
    with away(issuer):
        assert await status(caller, issuer.token({"kid": "another"})) == 401
    assert (fetches("ok"), fetches("error")) == (ok + 1, error + 1)


async def test_a_new_key_is_fetched_and_the_old_one_is_gone(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(caller, issuer.token(sub="before")) == 200
    monkeypatch.setattr(keys, "FLOOR_SECONDS", 0.0)
    second = make_key()
    issuer.keys = {"second": second}
    assert await status(caller, issuer.token({"kid": "second"}, second)) == 200
    assert await status(caller, issuer.token()) == 401


async def test_made_up_keys_cause_no_more_requests_than_the_floor(caller: AsyncClient, issuer: Issuer) -> None:
    assert await status(caller, issuer.token()) == 200
    answers = await asyncio.gather(*(status(caller, issuer.token({"kid": f"made-up-{n}"})) for n in range(50)))
    assert set(answers) == {401}
    assert issuer.requests == [DISCOVERY, "/keys"]


async def test_the_keys_outlive_an_outage_of_the_issuer(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(caller, issuer.token()) == 200
    monkeypatch.setattr(keys, "FLOOR_SECONDS", 0.0)
    monkeypatch.setattr(keys, "LIFE_SECONDS", 0.0)
    with away(issuer):
        assert await status(caller, issuer.token(sub="bob")) == 200
        assert await status(caller, issuer.token({"kid": "unknown"})) == 401


async def test_without_any_key_the_service_is_unavailable_until_there_is_one(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "FIRST_FLOOR_SECONDS", 0.0)
    with away(issuer):
        assert await status(caller, issuer.token()) == 503
    assert await status(caller, issuer.token()) == 200


@pytest.mark.parametrize("code", [301, 302, 307, 404, 500])
async def test_another_answer_than_the_document_is_none(caller: AsyncClient, issuer: Issuer, code: int) -> None:
    issuer.status = code
    assert await status(caller, issuer.token()) == 503
    assert issuer.requests == [DISCOVERY]


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example.org"},
        {"jwks_uri": "http://evil.example.org/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
async def test_a_discovery_document_that_leads_astray_is_not_followed(
    caller: AsyncClient, issuer: Issuer, discovery: dict[str, Any]
) -> None:
    issuer.discovery |= discovery
    assert await status(caller, issuer.token()) == 503
    assert issuer.requests == [DISCOVERY]


@pytest.mark.parametrize("document", [[], {}, {"keys": []}, {"keys": [{"kty": "RSA"}]}, {"keys": 7}, {"keys": ["a"]}])
async def test_keys_that_are_none_are_refused(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, document: object
) -> None:
    found = {DISCOVERY: issuer.discovery, "/keys": document}
    monkeypatch.setattr(issuer, "documents", lambda: found)
    assert await status(caller, issuer.token()) == 503


async def test_a_document_is_read_up_to_a_size(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_DOCUMENT", 100)
    assert await status(caller, issuer.token()) == 503


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
async def test_a_key_without_alg_verifies_each_allowed_algorithm_of_its_type(
    monkeypatch: pytest.MonkeyPatch, issuer: Issuer, api: FastAPI, database: Database, algorithm: str
) -> None:
    token = jwt.encode(issuer.claims(), issuer.key, algorithm, headers={"kid": "first"})
    async with believing(api, database) as caller:
        assert await status(caller, token) == (200 if algorithm == "RS256" else 401)
    monkeypatch.setenv("OIDC_ALGORITHMS", f"ES256,{algorithm}")
    async with believing(api, database) as caller:
        assert await status(caller, token) == 200
    issuer.listed = [public_jwk(issuer.key, kid="first", alg="RS384")]
    async with believing(api, database) as caller:
        assert await status(caller, token) == (200 if algorithm == "RS384" else 401)


def counted(api: FastAPI, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the algorithm of each signature that is verified."""
    verifier: Any = api.state.authenticate
    verify, tried = verifier._jws.decode, list[str]()  # noqa: SLF001  # what costs

    def counting(token: str, key: object, algorithms: Sequence[str]) -> object:
        tried.extend(algorithms)
        return verify(token, key, algorithms=algorithms)

    monkeypatch.setattr(verifier._jws, "decode", counting)  # noqa: SLF001
    return tried


OTHER_ALGORITHMS: dict[str, tuple[AnyKey, Sequence[str]]] = {
    "RSA": (RSA, ("ES256", "EdDSA")),
    "P-256": (P_256, ("RS256", "PS256", "ES384", "EdDSA")),
    "P-384": (P_384, ("RS256", "PS256", "ES256", "EdDSA")),
}


@pytest.mark.parametrize("name", OTHER_ALGORITHMS)
async def test_a_key_of_another_type_or_curve_than_the_algorithms_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, issuer: Issuer, api: FastAPI, database: Database, name: str
) -> None:
    key, others = OTHER_ALGORITHMS[name]
    monkeypatch.setenv("OIDC_ALGORITHMS", "RS256,PS256,ES256,ES384,EdDSA")
    issuer.listed = [public_jwk(key, kid="first"), {"kty": "oct", "k": "AA", "kid": "first"}]
    async with believing(api, database) as caller:
        tried = counted(api, monkeypatch)
        for algorithm, kid in product(others, ["first", None]):
            assert await status(caller, issuer.token({"kid": kid, "alg": algorithm})) == 401
    assert tried == []


@pytest.mark.parametrize("kid", [None, "same"])
async def test_of_keys_that_have_one_id_or_none_the_one_that_verifies_the_token_is_found(
    caller: AsyncClient, issuer: Issuer, kid: str | None
) -> None:
    second = make_key()
    named = {} if kid is None else {"kid": kid}
    issuer.listed = [public_jwk(key, **named) for key in (issuer.key, P_256, second)]
    for token in (
        issuer.token({"kid": kid}),
        issuer.token({"kid": kid}, second),
        jwt.encode(issuer.claims(), P_256, "ES256", headers=named),
    ):
        assert await status(caller, token) == 200
    assert await status(caller, issuer.token({"kid": kid}, make_key())) == 401
    assert await status(caller, issuer.token({"kid": "other"})) == 401


async def test_few_keys_are_tried_for_one_token(
    caller: AsyncClient, api: FastAPI, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.listed = [public_jwk(issuer.key, kid=str(number)) for number in range(20)]
    tried = counted(api, monkeypatch)
    assert await status(caller, issuer.token({"kid": "7"}, make_key())) == 401
    assert tried == ["RS256"]
    assert await status(caller, issuer.token({"kid": None}, make_key())) == 401
    assert tried == ["RS256"] * (1 + keys.MAX_TRIED)


@pytest.mark.parametrize("kid", [None, "first"])
async def test_a_key_that_replaces_another_of_its_id_is_fetched(
    caller: AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, kid: str | None
) -> None:
    assert await status(caller, issuer.token({"kid": kid})) == 200
    monkeypatch.setattr(keys, "FLOOR_SECONDS", 0.0)
    second = make_key()
    issuer.keys = {"first": second}
    assert await status(caller, issuer.token({"kid": kid}, second)) == 200
    assert await status(caller, issuer.token({"kid": kid}, sub="bob")) == 401


@pytest.fixture
def company(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_an_issuer_that_the_companys_authority_certifies_is_believed(
    company: Authority, monkeypatch: pytest.MonkeyPatch, api: FastAPI, database: Database, variable: str
) -> None:
    monkeypatch.setenv(variable, str({"SSL_CERT_FILE": company.file, "SSL_CERT_DIR": company.folder}[variable]))
    with listen(company.certify("127.0.0.1")) as issuer:
        name_in_settings(issuer, monkeypatch)
        async with believing(api, database) as caller:
            assert await status(caller, issuer.token()) == 200


async def test_the_log_says_why_the_keys_were_not_fetched(
    company: Authority, monkeypatch: pytest.MonkeyPatch, api: FastAPI, database: Database
) -> None:
    async def reason() -> str:
        name_in_settings(issuer, monkeypatch)
        with capture_logs() as logs:
            async with believing(api, database) as caller:
                assert await status(caller, issuer.token()) == 503
        return next(str(line["reason"]) for line in logs if line["event"] == "issuer keys not fetched")

    with listen(company.certify("127.0.0.1")) as issuer:
        assert "certificate verify failed: unable to get local issuer certificate" in await reason()
    assert (await reason()).startswith("ConnectionRefusedError: ")
    monkeypatch.setenv("SSL_CERT_FILE", str(company.file))
    with listen(company.certify("127.0.0.2")) as issuer:
        assert "certificate is not valid for '127.0.0.1'" in await reason()
    with listen(company.certify("127.0.0.1")) as issuer:
        issuer.status = 404
        assert await reason() == f"{DISCOVERY} answers 404"
        issuer.fresh()
        issuer.discovery["issuer"] = "https://evil.example.org"
        assert await reason() == "the discovery document is of another issuer"


async def test_the_address_of_the_keys_can_be_set(
    monkeypatch: pytest.MonkeyPatch, issuer: Issuer, api: FastAPI, database: Database
) -> None:
    monkeypatch.setenv("OIDC_JWKS_URL", f"{issuer.url}/keys")
    async with believing(api, database) as caller:
        assert await status(caller, issuer.token()) == 200
    assert issuer.requests == ["/keys"]
