"""The issuer's public keys: fetched again when none verifies a token, kept while the issuer is unavailable."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from time import monotonic
from typing import Any, cast

import httpx
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from chassis.errors import Unavailable
from chassis.identity.oidc._settings import secure
from chassis.ops import metrics
from chassis.outbound import reason_of

log = structlog.stdlib.get_logger(__name__)

# The least time between requests to the issuer, so that forged tokens cannot flood it; less until there are keys.
FLOOR_SECONDS, FIRST_FLOOR_SECONDS = 30.0, 1.0
# Keys are fetched again after this, so that a key which the issuer has revoked is refused.
LIFE_SECONDS = 600.0
FETCH_SECONDS = 5.0
MAX_DOCUMENT = 256 * 1024
# Keys tried for one token: there are several if it names no key, or if the issuer gives keys the same id.
MAX_TRIED = 4
# The algorithms of a key by its type or curve (RFC 7518, section 3.1; RFC 8037), for a key that names none.
ALGORITHMS = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA"}),
    "Ed448": frozenset({"EdDSA"}),
}
# What `fetch_keys` raises.
FETCH_ERRORS = (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of `cryptography`, with the algorithms that it may be used for."""

    id: str | None
    algorithms: frozenset[str]
    public: Any


type Keys = Sequence[Key]


class KeySet:
    """A cache of the keys that `fetch` returns."""

    def __init__(self, fetch: Callable[[], Awaitable[Keys]]) -> None:
        self._fetch = fetch
        self._keys: Keys = ()
        self._fetched = self._tried = float("-inf")
        self._refreshing = asyncio.Lock()

    async def verify(self, key_id: str, algorithm: str, is_signed_with: Callable[[Any], bool]) -> bool:
        """Return whether a key verifies the token; if none does, try those that the issuer has by now.

        Raises Unavailable until keys have been fetched once.
        """
        if monotonic() - self._fetched > LIFE_SECONDS and not (self._keys and self._refreshing.locked()):
            await self._refresh()
        tried = self._keys
        if not tried:
            raise Unavailable
        if self._try(key_id, algorithm, is_signed_with):
            return True
        await self._refresh()
        return self._keys is not tried and self._try(key_id, algorithm, is_signed_with)

    def _try(self, key_id: str, algorithm: str, is_signed_with: Callable[[Any], bool]) -> bool:
        """Try the keys with this id, or all keys for a token without one, that the algorithm fits."""
        fitting = (key.public for key in self._keys if key_id in {"", key.id} and algorithm in key.algorithms)
        return any(map(is_signed_with, islice(fitting, MAX_TRIED)))

    async def _refresh(self) -> None:
        """Fetch all keys, one request at a time."""
        async with self._refreshing:
            if monotonic() - self._tried < (FLOOR_SECONDS if self._keys else FIRST_FLOOR_SECONDS):
                return
            self._tried = monotonic()
            try:
                self._keys = await self._fetch()
                self._fetched = monotonic()
                metrics.KEY_FETCHES.labels("ok").inc()
            except FETCH_ERRORS as error:
                metrics.KEY_FETCHES.labels("error").inc()
                log.warning("issuer keys not fetched", reason=why(error))


def why(error: Exception) -> str:
    """Say in one line why keys were not fetched."""
    return str(error) if isinstance(error, ValueError) else reason_of(error)


async def fetch_keys(client: httpx.AsyncClient, issuer: str, url: str) -> Keys:
    """Fetch the keys from `url`, or if that is empty from the URL in the issuer's discovery document.

    Raises ValueError, TimeoutError or an error of httpx.
    """
    async with asyncio.timeout(FETCH_SECONDS):
        if not url:
            found = await _get(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != issuer:
                raise ValueError("the discovery document is of another issuer")
            url = secure(str(found.get("jwks_uri")))
        return read_keys(await _get(client, url))


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Fetch a JSON object of bounded size; a redirect is an error."""
    body = b""
    async with client.stream("GET", url, headers={"accept": "application/json"}) as answer:
        if answer.status_code != HTTPStatus.OK:
            raise ValueError(f"{answer.url.path} answers {answer.status_code}")
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MAX_DOCUMENT:
                raise ValueError("the document is too large")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the document is not a JSON object")  # noqa: TRY004  # the value is wrong, not its type
    return cast("dict[str, Any]", document)


def read_keys(document: Mapping[str, Any]) -> Keys:
    """Read the signature keys of a JWK set (RFC 7517). Raises ValueError if there is none."""
    keys: list[Key] = []
    listed = document.get("keys")
    offered = cast("list[object]", listed) if isinstance(listed, list) else []
    for jwk in (cast("dict[str, Any]", each) for each in offered if isinstance(each, dict)):
        if jwk.get("use", "sig") != "sig":
            continue
        try:
            keys.append(_read_key(jwk))
        except (KeyError, TypeError, ValueError, PyJWTError):
            log.warning("issuer key not usable", key_id=jwk.get("kid"))
    if not keys:
        raise ValueError("the JWK set has no usable key")
    return keys


def _read_key(jwk: Mapping[str, Any]) -> Key:
    """Read a public key with the algorithms that fit it. Raises KeyError, TypeError, ValueError or PyJWTError."""
    key_id, algorithm = jwk.get("kid"), jwk.get("alg")
    algorithms = ALGORITHMS["RSA" if jwk["kty"] == "RSA" else jwk["crv"]]
    if algorithm is not None:
        algorithms &= {algorithm}
    if not algorithms or not isinstance(key_id, str | None):
        raise ValueError
    public = PyJWK({name: value for name, value in jwk.items() if name != "d"}, max(algorithms))
    return Key(key_id, algorithms, public.key)
