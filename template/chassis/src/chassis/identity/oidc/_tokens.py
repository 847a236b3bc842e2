"""The checks that an access token must pass (RFC 7519, RFC 8725, RFC 9068)."""

import base64
import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from time import time
from typing import Annotated, Any, Literal, cast

import jiter
from fastapi import Request
from jwt import PyJWS
from jwt.exceptions import PyJWTError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chassis.errors import Unauthorized
from chassis.identity import Principal, bearer
from chassis.identity.oidc._keys import KeySet
from chassis.identity.oidc._settings import OidcSettings

MAX_KEPT = 10_000
# A token is verified again after this, so that a token of a revoked key is refused.
MAX_KEPT_SECONDS = 300.0
# Header parameters that carry a key or its URL, or that change how the rest is read.
REFUSED = frozenset({"b64", "crit", "cty", "enc", "jku", "jwk", "x5c", "x5u", "zip"})
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError
    return text


type Time = Annotated[float, Field(ge=0, le=1e11)]


class Claims(BaseModel):
    """The claims that are checked; those that must be None or one of few values exclude tokens of other kinds."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    iss: str
    sub: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
    exp: Time
    iat: Time
    nbf: Time = 0
    aud: str | list[str] = []
    client_id: str = ""
    token_use: Literal["", "access"] = ""  # Cognito
    typ: Literal["", "Bearer"] = ""  # Keycloak
    at_hash: None = None  # ID tokens
    c_hash: None = None
    cnf: None = None  # tokens bound to a proof of possession, which is not checked here

    def audiences(self) -> set[str]:
        """Return the audiences; access tokens of Cognito name the client instead."""
        if self.token_use and not self.aud:
            return {self.client_id}
        return {self.aud} if isinstance(self.aud, str) else {*self.aud}


class Header(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    alg: str
    kid: Annotated[str, Field(max_length=255)] = ""
    typ: str = "JWT"


class Verifier:
    """Verifies tokens, and caches the result: the signature costs more than everything else."""

    def __init__(self, settings: OidcSettings, keys: KeySet) -> None:
        self._settings = settings
        self._keys = keys
        self._jws = PyJWS(algorithms=list(settings.oidc_algorithms))
        self._kept: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    async def __call__(self, request: Request, _scopes: Sequence[str]) -> Principal:
        """Return the principal. Raises Unauthorized for an invalid token, Unavailable until there are keys."""
        token = bearer(request)
        digest = sha256(token.encode()).digest()
        caller, until = self._kept.get(digest, (None, 0.0))
        if caller is None or until <= time():
            caller, until = await self._verify(token)
            self._kept[digest] = caller, min(until, time() + MAX_KEPT_SECONDS)
            self._kept.move_to_end(digest)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return caller

    async def _verify(self, token: str) -> tuple[Principal, float]:
        segments = token.split(".")
        if len(segments) != 3:  # noqa: PLR2004  # header, payload, signature
            raise Unauthorized("The token is not a signed JWT.")
        try:
            header = Header.model_validate(_read(segments[0]))
            payload = _read(segments[1])
            claims = Claims.model_validate(payload)
        except ValueError as error:
            raise Unauthorized("The token has a missing or malformed claim.") from error
        self._check(claims)
        await self._check_signature(token, header)
        return Principal(claims.sub, self._scopes(payload)), claims.exp

    def _check(self, claims: Claims) -> None:
        now, leeway = time(), self._settings.oidc_leeway
        if claims.exp <= now - leeway:
            raise Unauthorized("The token has expired.")
        if max(claims.iat, claims.nbf) > now + leeway:
            raise Unauthorized("The token is not yet valid.")
        if claims.iss != self._settings.oidc_issuer or claims.audiences().isdisjoint(self._settings.oidc_audience):
            raise Unauthorized("The token has another issuer or audience.")

    async def _check_signature(self, token: str, header: Header) -> None:
        foreign = REFUSED.intersection(header.model_extra or ())
        if foreign or header.typ.lower() not in TYPES or header.alg not in self._settings.oidc_algorithms:
            raise Unauthorized("The token type or algorithm is not accepted.")
        if not await self._keys.verify(header.kid, header.alg, partial(self._is_signed, token, header.alg)):
            raise Unauthorized("The token is not signed with a key of the issuer.")

    def _is_signed(self, token: str, algorithm: str, key: Any) -> bool:  # noqa: ANN401  # a key of `cryptography`
        try:
            self._jws.decode(token, key, algorithms=[algorithm])
        except PyJWTError:
            return False
        return True

    def _scopes(self, payload: dict[str, Any]) -> frozenset[str]:
        """Collect the scopes from claims that are strings with spaces, lists, or roles of Zitadel."""
        words: list[str] = []
        for name in self._settings.oidc_scope_claims:
            value = _claim(payload, name)
            if isinstance(value, str):
                words += value.split()
            elif isinstance(value, list):
                words += [word for word in cast("list[object]", value) if isinstance(word, str)]
            elif isinstance(value, dict):  # Zitadel: each role with the organizations that grant it
                roles = cast("dict[str, object]", value)
                words += [role for role, grants in roles.items() if grants and isinstance(grants, dict)]
        prefix = self._settings.oidc_scope_prefix
        return frozenset(word.removeprefix(prefix) for word in words if word.startswith(prefix))


def _claim(claims: object, name: str) -> object:
    """Find a claim by its name, or in objects by their names joined with dots; a name may itself contain dots."""
    if not isinstance(claims, dict):
        return None
    members = cast("dict[str, object]", claims)
    if name in members:
        return members[name]
    dots = (place for place, letter in enumerate(name) if letter == ".")
    found = (_claim(members.get(name[:dot]), name[dot + 1 :]) for dot in dots)
    return next((value for value in found if value is not None), None)


def _read(segment: str) -> dict[str, Any]:
    """Decode a JSON object without duplicate names, NaN or Infinity. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", segment):
        raise ValueError("not base64url")
    text = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    found = jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="none")
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # the value is wrong, not its type
    return cast("dict[str, Any]", found)
