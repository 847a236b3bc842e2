"""Identity by API keys of this service: shown once, kept as hashes, made and taken back by commands."""

import hmac
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Request

from chassis.data import Connection, Database, open_database
from chassis.errors import Unauthorized
from chassis.identity import Authenticate, Authentication, Principal, bearer
from chassis.identity.api_keys import _persistence as persistence
from chassis.identity.api_keys._keys import NewKey, hash_of, split
from chassis.ops import Commands
from chassis.ops import run as run_process
from chassis.settings import Settings, StartError, load

type Work = Callable[[Connection, Namespace], Awaitable[str]]


class KeyUnknown(StartError):
    """No key of this id can be rotated or revoked."""


@asynccontextmanager
async def open_authentication(database: Database) -> AsyncGenerator[Authenticate]:
    """Believe the keys in the database, with one query for each request."""

    async def authenticate(request: Request, _scopes: Sequence[str]) -> Principal:
        key_id, secret = split(bearer(request))
        async with database.connection() as connection:
            found = await persistence.find(connection, key_id)
            # Compared for a key that is not there as well, so that the time tells nothing.
            fits = hmac.compare_digest(found.hash if found else bytes(32), hash_of(secret))
            if found is None or not fits:
                raise Unauthorized("The API key is invalid.")
            if found.is_seldom_used:
                await persistence.touch(connection, key_id)
        return Principal(found.subject, frozenset(found.scopes))

    yield authenticate


def add_commands(commands: Commands) -> None:
    """Add `keys create`, `keys list`, `keys rotate` and `keys revoke`."""
    keys = commands.add_parser("keys", help="make, list, rotate and revoke API keys").add_subparsers(
        required=True, metavar="ACTION"
    )
    create = _add(keys, "create", "make a key, and print it this once", _create)
    create.add_argument("--subject", required=True, help="whose it is, as in alice")
    create.add_argument("--scope", default="", help='what it lets do, as in "invoices:read invoices:write"')
    create.add_argument("--days", type=int, default=365, help="how long it lasts; a year by default")
    _add(keys, "list", "list the keys, without their secrets", _list)
    rotate = _add(keys, "rotate", "make a key like another, and print it this once", _rotate)
    rotate.add_argument("id")
    rotate.add_argument("--days", type=int, default=365, help="how long it lasts; a year by default")
    rotate.add_argument("--grace", type=int, default=24, help="hours that the other still lasts; a day by default")
    _add(keys, "revoke", "take a key back at once", _revoke).add_argument("id")


def _add(commands: Commands, name: str, text: str, work: Work) -> ArgumentParser:
    parser = commands.add_parser(name, help=text)

    def run(options: Namespace) -> None:
        run_process(_run(work, options))

    parser.set_defaults(run=run)
    return parser


async def _run(work: Work, options: Namespace) -> None:
    async with open_database(load(Settings)) as database, database.transaction() as connection:
        said = await work(connection, options)
    print(said)  # noqa: T201  # for a person


async def _create(connection: Connection, options: Namespace) -> str:
    key = NewKey.make()
    await persistence.add(connection, key, options.subject, options.scope.split(), options.days)
    return key.text


async def _list(connection: Connection, _options: Namespace) -> str:
    return "\n".join(str(key) for key in await persistence.list_all(connection)) or "There is no key."


async def _rotate(connection: Connection, options: Namespace) -> str:
    key = NewKey.make()
    if not await persistence.rotate(connection, options.id, key, options.days, options.grace):
        raise KeyUnknown(f"no key {options.id} is in use")
    return key.text


async def _revoke(connection: Connection, options: Namespace) -> str:
    if not await persistence.revoke(connection, options.id):
        raise KeyUnknown(f"no key {options.id} is in use")
    return f"{options.id} is revoked."


api_keys = Authentication(
    credential="An API key of this service.",
    open=open_authentication,
    migrations={"chassis_api_keys": Path(__file__).parent / "migrations"},
    add_commands=add_commands,
    issue=("keys", "create"),
)
