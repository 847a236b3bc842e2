"""Authenticates callers by API keys, and adds the commands that manage the keys."""

import hmac
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from asyncpg import Record
from fastapi import Request

from chassis.data import Connection, Database, open_database
from chassis.errors import Unauthorized
from chassis.identity import Authenticate, Authentication, Principal, bearer
from chassis.identity.api_keys import _persistence as persistence
from chassis.identity.api_keys._keys import FORMAT, NewKey, hash_of
from chassis.ops import Commands, run
from chassis.settings import Settings, StartError, load

type Work = Callable[[Connection, Namespace], Awaitable[str]]


@asynccontextmanager
async def open_authentication(database: Database) -> AsyncGenerator[Authenticate]:
    """Accept the keys in the database, with one query per request."""

    async def authenticate(request: Request, _scopes: Sequence[str]) -> Principal:
        shown = FORMAT.fullmatch(bearer(request))
        if shown is None:
            raise Unauthorized("The API key is invalid.")
        key_id, secret = shown.groups()
        async with database.connection() as connection:
            found = await persistence.find(connection, key_id)
            # An unknown key is compared as well, so that the response time reveals nothing.
            matches = hmac.compare_digest(found["hash"] if found else bytes(32), hash_of(secret))
            if found is None or not matches:
                raise Unauthorized("The API key is invalid.")
            if found["is_seldom_used"]:
                await persistence.touch(connection, key_id)
        return Principal(found["subject"], frozenset(found["scopes"]))

    yield authenticate


def add_commands(commands: Commands) -> None:
    """Add `keys create`, `keys list`, `keys rotate` and `keys revoke`."""
    keys = commands.add_parser("keys", help="create, list, rotate and revoke API keys").add_subparsers(
        required=True, metavar="ACTION"
    )
    create = _add(keys, "create", "create a key, and print it once", _create)
    create.add_argument("--subject", required=True, help="subject of its principal, for example alice")
    create.add_argument("--scope", default="", help='granted scopes, for example "invoices:read invoices:write"')
    create.add_argument("--days", type=int, default=365, help="days until it expires; a year by default")
    _add(keys, "list", "list the keys without their secrets", _list)
    rotate = _add(keys, "rotate", "create a successor to a key, and print it once", _rotate)
    rotate.add_argument("id")
    rotate.add_argument("--days", type=int, default=365, help="days until it expires; a year by default")
    rotate.add_argument("--grace", type=int, default=24, help="hours until the old key expires; a day by default")
    _add(keys, "revoke", "revoke a key at once", _revoke).add_argument("id")


def _add(commands: Commands, name: str, text: str, work: Work) -> ArgumentParser:
    parser = commands.add_parser(name, help=text)
    parser.set_defaults(run=partial(_run, work))
    return parser


def _run(work: Work, options: Namespace) -> None:
    async def main() -> None:
        async with open_database(load(Settings)) as database, database.transaction() as connection:
            text = await work(connection, options)
        print(text)  # noqa: T201  # the output of a command

    run(main())


async def _create(connection: Connection, options: Namespace) -> str:
    key = NewKey()
    await persistence.add(connection, key, options.subject, options.scope.split(), options.days)
    return key.text


async def _list(connection: Connection, _options: Namespace) -> str:
    return "\n".join(map(_line, await persistence.list_all(connection))) or "There is no key."


def _line(key: Record) -> str:
    used = f"used {key['last_used_at']:%Y-%m-%d}" if key["last_used_at"] else "never used"
    until = f"revoked {key['revoked_at']:%Y-%m-%d}" if key["revoked_at"] else f"until {key['expires_at']:%Y-%m-%d}"
    return f"{key['id']}  {key['subject']}  {' '.join(key['scopes']) or 'no scope'}  {until}  {used}"


async def _rotate(connection: Connection, options: Namespace) -> str:
    key = NewKey()
    if not await persistence.rotate(connection, options.id, key, options.days, options.grace):
        raise StartError(f"no key {options.id} is in use")
    return key.text


async def _revoke(connection: Connection, options: Namespace) -> str:
    if not await persistence.revoke(connection, options.id):
        raise StartError(f"no key {options.id} is in use")
    return f"{options.id} is revoked."


api_keys = Authentication(
    credential="An API key of this service.",
    open=open_authentication,
    migrations={"chassis_api_keys": Path(__file__).parent / "migrations"},
    add_commands=add_commands,
    issue=("keys", "create"),
)
