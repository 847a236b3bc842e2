"""Settings of OpenID Connect: the trusted issuer and the scopes in its tokens."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from chassis.identity.oidc._development import ISSUER, LOOPBACK
from chassis.settings import CommaSeparated, EnvironmentSettings

# Asymmetric algorithms only: with HMAC, the key that verifies a token could also sign one.
type Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def secure(url: str) -> str:
    """Accept an https URL, or an http URL of this machine."""
    parts = urlsplit(url)
    if not parts.hostname or (parts.scheme != "https" and (parts.scheme, parts.hostname in LOOPBACK) != ("http", True)):
        raise ValueError("the URL is not an https URL")
    return url


class OidcSettings(EnvironmentSettings):
    oidc_issuer: Annotated[str, AfterValidator(lambda url: url if url == ISSUER else secure(url))] = Field(
        description="https URL of the issuer, exactly as in the iss claim"
    )
    oidc_audience: CommaSeparated[str] = Field(
        min_length=1, description="accepted values of the aud claim, comma-separated"
    )
    oidc_jwks_url: Annotated[str, AfterValidator(lambda url: url and secure(url))] = Field(
        "", description="https URL of the issuer's JWK set; empty uses OpenID Connect discovery"
    )
    oidc_algorithms: CommaSeparated[Algorithm] = Field(
        ("RS256", "ES256"),
        min_length=1,
        description="accepted signature algorithms, comma-separated: RS, PS and ES with 256, 384 or 512, EdDSA",
    )
    oidc_leeway: int = Field(10, ge=0, le=60, description="tolerated clock skew in seconds, 0 to 60")
    oidc_scope_claims: CommaSeparated[str] = Field(
        ("scope", "scp"),
        min_length=1,
        description="claims that contain scopes, comma-separated; realm_access.roles is in an object",
    )
    oidc_scope_prefix: str = Field(
        "", description="prefix of the scopes of this service, removed before they are checked"
    )
    oidc_development_keys: str = Field(
        "", description="key file of the local development issuer; requires a loopback API_HOST"
    )
