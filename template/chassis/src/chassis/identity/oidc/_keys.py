"""The issuer's public keys: fetched again when one is missing, kept while the issuer is unavailable."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any, cast

import httpx
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from chassis.errors import Unavailable
from chassis.identity.oidc._settings import secure

log = structlog.stdlib.get_logger(__name__)

# Tokens of made-up keys cause no more requests to the issuer than this; the first keys are waited for by everyone.
FLOOR_SECONDS, FIRST_FLOOR_SECONDS = 30.0, 1.0
# A key that the issuer has revoked is accepted no longer than this.
LIFE_SECONDS = 600.0
FETCH_SECONDS = 5.0
MAX_DOCUMENT = 256 * 1024

# What an unsupported or malformed key raises.
UNUSABLE = (KeyError, ValueError, PyJWTError)

type Keys = Mapping[str, PyJWK]


class KeySet:
    """The keys by their ids, from a function that gets them all."""

    def __init__(self, fetch: Callable[[], Awaitable[Keys]]) -> None:
        self._fetch = fetch
        self._keys: Keys = {}
        self._fetched = self._tried = float("-inf")
        self._refreshing = asyncio.Lock()

    async def find(self, key_id: str) -> PyJWK | None:
        """Give a key of the issuer. Raises Unavailable as long as none could be fetched at all."""
        if key_id not in self._keys or monotonic() - self._fetched > LIFE_SECONDS:
            await self._refresh(key_id)
        if not self._keys:
            raise Unavailable
        return self._keys.get(key_id)

    async def _refresh(self, key_id: str) -> None:
        """Fetch all keys, one request at a time; a token with a known key does not wait."""
        if key_id in self._keys and self._refreshing.locked():
            return
        async with self._refreshing:
            if monotonic() - self._tried < (FLOOR_SECONDS if self._keys else FIRST_FLOOR_SECONDS):
                return
            self._tried = monotonic()
            try:
                self._keys = await self._fetch()
                self._fetched = monotonic()
            except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
                log.warning("issuer keys not fetched", reason=type(error).__name__)


async def fetch_keys(client: httpx.AsyncClient, issuer: str, url: str) -> Keys:
    """Get the keys from `url`, or from where the issuer's discovery document says.

    Raises ValueError, TimeoutError or an error of httpx when there are none to be had.
    """
    async with asyncio.timeout(FETCH_SECONDS):
        if not url:
            found = await _get(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != issuer:
                raise ValueError("the discovery document is another issuer's")
            url = secure(str(found.get("jwks_uri")))
        return read_keys(await _get(client, url))


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Get a JSON object of bounded size; what is answered by a redirect is an error."""
    body = b""
    async with client.stream("GET", url, headers={"accept": "application/json"}) as answer:
        if answer.status_code != HTTPStatus.OK:
            raise ValueError(answer.status_code)
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MAX_DOCUMENT:
                raise ValueError("the document is too large")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the document is no JSON object")  # noqa: TRY004  # of the issuer, not of the caller
    return cast("dict[str, Any]", document)


def read_keys(document: Mapping[str, Any]) -> Keys:
    """Read a JWK set (RFC 7517), without the keys that are for something else. Raises ValueError when none is left."""
    keys: dict[str, PyJWK] = {}
    listed = document.get("keys")
    offered = cast("list[object]", listed) if isinstance(listed, list) else []
    for jwk in (cast("dict[str, Any]", each) for each in offered if isinstance(each, dict)):
        if jwk.get("use", "sig") != "sig" or jwk.get("kty") == "oct":
            continue
        try:
            keys[jwk["kid"]] = PyJWK({name: value for name, value in jwk.items() if name != "d"})
        except UNUSABLE:
            log.warning("issuer key not usable", key_id=jwk.get("kid"))
    if not keys:
        raise ValueError("the issuer has no key")
    return keys
