"""Authenticates callers by OpenID Connect: the service is a resource server that accepts tokens of one issuer."""

from argparse import Namespace
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from chassis.data import Database
from chassis.identity import Authenticate, Authentication
from chassis.identity.oidc import _development as development
from chassis.identity.oidc._keys import FETCH_ERRORS, Keys, KeySet, fetch_keys, read_keys, why
from chassis.identity.oidc._settings import OidcSettings
from chassis.identity.oidc._tokens import Verifier
from chassis.ops import Commands
from chassis.settings import HttpClientSettings, Settings, SettingsError, StartError, load


class IssuerUnavailable(StartError):
    """The keys of the issuer cannot be fetched; the message says why."""


@asynccontextmanager
async def open_authentication(_database: Database) -> AsyncGenerator[Authenticate]:
    """Accept the issuer of the settings. Raises SettingsError for the local issuer if API_HOST is not loopback."""
    settings = load(OidcSettings)
    async with _source(settings) as fetch:
        yield Verifier(settings, KeySet(fetch))


async def check_issuer() -> str:
    """Fetch the keys of the issuer. Raises IssuerUnavailable or SettingsError."""
    try:
        async with _source(load(OidcSettings)) as fetch:
            return f"keys fetched: {len(await fetch())}"
    except FETCH_ERRORS as error:
        what = "check OIDC_ISSUER and OIDC_JWKS_URL, and that the issuer can be reached from here"
        raise IssuerUnavailable(f"{why(error)}: {what}") from error


@asynccontextmanager
async def _source(settings: OidcSettings) -> AsyncGenerator[Callable[[], Awaitable[Keys]]]:
    """Give what fetches the keys of the issuer. Raises SettingsError as above."""
    outbound = load(HttpClientSettings)
    proxy = outbound.http_client_proxy.get_secret_value() or None
    async with httpx.AsyncClient(
        verify=outbound.tls(), timeout=2, follow_redirects=False, trust_env=False, proxy=proxy
    ) as client:
        if settings.oidc_issuer == development.ISSUER:
            if not settings.oidc_development_keys or load(Settings).api_host not in development.LOOPBACK:
                reason = f"{development.ISSUER} requires a loopback API_HOST and OIDC_DEVELOPMENT_KEYS"
                raise SettingsError(f"OIDC_ISSUER is wrong: {reason}")
            yield lambda: _local_keys(settings)
        else:
            yield lambda: fetch_keys(client, settings.oidc_issuer, settings.oidc_jwks_url)


async def _local_keys(settings: OidcSettings) -> Keys:
    return read_keys({"keys": [development.private_key(Path(settings.oidc_development_keys))]})


def add_commands(commands: Commands) -> None:
    """Add `token`, which prints a token of the local issuer."""
    token = commands.add_parser("token", help="print a token of the local development issuer")
    token.add_argument("--subject", required=True, help="subject of the token, for example alice")
    token.add_argument("--scope", default="", help='granted scopes, for example "invoices:read invoices:write"')
    token.add_argument("--seconds", type=int, default=3600, help="seconds until it expires; an hour by default")
    token.set_defaults(run=_token)


def _token(options: Namespace) -> None:
    print(development.issue(options.subject, options.scope, options.seconds))  # noqa: T201  # the output of a command


oidc = Authentication(
    credential="An access token of the issuer, as a JWT.",
    open=open_authentication,
    settings=(OidcSettings,),
    add_commands=add_commands,
    issue=("token",),
    development=development.variables,
    checks={"issuer": check_issuer},
)
