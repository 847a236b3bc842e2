"""Settings of OpenID Connect: the trusted issuer and the scopes in its tokens."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from chassis.identity.oidc._development import ISSUER, LOOPBACK
from chassis.settings import EnvironmentSettings

# Asymmetric ones only: with a shared secret, whoever can verify can also sign.
type Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def _split(text: object) -> object:
    return [word.strip() for word in text.split(",") if word.strip()] if isinstance(text, str) else text


type Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)]


def secure(url: str) -> str:
    """Refuse a URL that is not protected by TLS."""
    parts = urlsplit(url)
    if not parts.hostname or (parts.scheme != "https" and (parts.scheme, parts.hostname in LOOPBACK) != ("http", True)):
        raise ValueError
    return url


def _issuer(text: str) -> str:
    return text if text == ISSUER else secure(text)


class OidcSettings(EnvironmentSettings):
    oidc_issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        description="https URL of the issuer, exactly as in the iss claim"
    )
    oidc_audience: Words = Field(description="accepted values of the aud claim, comma-separated")
    oidc_jwks_url: Annotated[str, AfterValidator(lambda url: url and secure(url))] = Field(
        "", description="https URL of the issuer's JWK set; empty uses OpenID Connect discovery"
    )
    oidc_algorithms: Annotated[tuple[Algorithm, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)] = Field(
        ("RS256", "ES256"),
        description="accepted signature algorithms, comma-separated: RS, PS and ES with 256, 384 or 512, EdDSA",
    )
    oidc_leeway: int = Field(10, ge=0, le=60, description="tolerated clock skew in seconds, 0 to 60")
    oidc_scope_claims: Words = Field(("scope", "scp"), description="claims that contain scopes, comma-separated")
    oidc_scope_prefix: str = Field(
        "", description="prefix of the scopes of this service, removed before they are checked"
    )
    oidc_development_keys: str = Field(
        "", description="key file of the local development issuer; requires a loopback API_HOST"
    )
