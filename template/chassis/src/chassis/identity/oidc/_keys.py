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

# The least time between requests to the issuer, so that unknown key ids cannot flood it; less until there are keys.
FLOOR_SECONDS, FIRST_FLOOR_SECONDS = 30.0, 1.0
# Keys are fetched again after this, so that a key which the issuer has revoked is refused.
LIFE_SECONDS = 600.0
FETCH_SECONDS = 5.0
MAX_DOCUMENT = 256 * 1024

type Keys = Mapping[str, PyJWK]


class KeySet:
    """A cache of the keys that `fetch` returns."""

    def __init__(self, fetch: Callable[[], Awaitable[Keys]]) -> None:
        self._fetch = fetch
        self._keys: Keys = {}
        self._fetched = self._tried = float("-inf")
        self._refreshing = asyncio.Lock()

    async def find(self, key_id: str) -> PyJWK | None:
        """Return a key by its id. Raises Unavailable until keys have been fetched once."""
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
            raise ValueError(answer.status_code)
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
    keys: dict[str, PyJWK] = {}
    listed = document.get("keys")
    offered = cast("list[object]", listed) if isinstance(listed, list) else []
    for jwk in (cast("dict[str, Any]", each) for each in offered if isinstance(each, dict)):
        if jwk.get("use", "sig") != "sig" or jwk.get("kty") == "oct":
            continue
        try:
            keys[jwk["kid"]] = PyJWK({name: value for name, value in jwk.items() if name != "d"})
        except (KeyError, TypeError, ValueError, PyJWTError):
            log.warning("issuer key not usable", key_id=jwk.get("kid"))
    if not keys:
        raise ValueError("the JWK set has no usable key")
    return keys
