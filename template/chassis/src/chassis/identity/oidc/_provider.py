"""Identity by OpenID Connect: this service is a resource server that accepts the tokens of one issuer."""

from argparse import Namespace
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from chassis.data import Database
from chassis.identity import Authenticate, Authentication
from chassis.identity.oidc import _development as development
from chassis.identity.oidc._keys import Keys, KeySet, fetch_keys, read_keys
from chassis.identity.oidc._settings import OidcSettings
from chassis.identity.oidc._tokens import Verifier
from chassis.ops import Commands
from chassis.settings import HttpClientSettings, Settings, load


@asynccontextmanager
async def open_authentication(_database: Database) -> AsyncGenerator[Authenticate]:
    """Believe the issuer of the settings. Raises SettingsError for the local one where others could reach it."""
    settings = load(OidcSettings)
    proxy = load(HttpClientSettings).http_client_proxy.get_secret_value() or None
    async with httpx.AsyncClient(timeout=2, follow_redirects=False, trust_env=False, proxy=proxy) as client:
        if settings.oidc_issuer == development.ISSUER:
            file = development.require_development(load(Settings).api_host, settings.oidc_development_keys)
            keys = KeySet(lambda: _local_keys(file))
        else:
            keys = KeySet(lambda: fetch_keys(client, settings.oidc_issuer, settings.oidc_jwks_url))
        yield Verifier(settings, keys)


async def _local_keys(file: Path) -> Keys:
    return read_keys({"keys": [development.private_key(file)]})


def add_commands(commands: Commands) -> None:
    """Add `token`, which prints one of the local issuer."""
    token = commands.add_parser("token", help="print a token of the local issuer, for development")
    token.add_argument("--subject", required=True, help="whose it is, as in alice")
    token.add_argument("--scope", default="", help='what it lets do, as in "invoices:read invoices:write"')
    token.add_argument("--seconds", type=int, default=3600, help="how long it lasts; an hour by default")
    token.set_defaults(run=_token)


def _token(options: Namespace) -> None:
    print(development.issue(options.subject, options.scope, options.seconds))  # noqa: T201  # for a person


oidc = Authentication(
    credential="An access token of the issuer, as a JWT.",
    open=open_authentication,
    settings=(OidcSettings,),
    add_commands=add_commands,
    issue=("token",),
    development=development.variables,
)
