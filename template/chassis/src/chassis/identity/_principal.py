"""A principal, how it is read from a request, and what a way to authenticate offers."""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Request

from chassis.data import Database
from chassis.errors import Unauthorized
from chassis.ops import Commands
from chassis.settings import EnvironmentSettings

MAX_CREDENTIAL = 8192


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: `subject` is whose things it may reach, `scopes` what it may do with them."""

    subject: str
    scopes: frozenset[str]


# Finds the principal of a request that needs these scopes. Raises Unauthorized.
type Authenticate = Callable[[Request, Sequence[str]], Coroutine[Any, Any, Principal]]


def _no_commands(_commands: Commands) -> None:
    pass


def _no_variables(_service: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Authentication:
    """A way to authenticate callers, for `Service(auth=...)`."""

    # What the OpenAPI document says of the bearer credential.
    credential: str
    # Opens it for the length of a process.
    open: Callable[[Database], AbstractAsyncContextManager[Authenticate]]
    settings: Sequence[type[EnvironmentSettings]] = ()
    # The folder of migrations by their owner.
    migrations: Mapping[str, Path] = field(default_factory=dict[str, Path])
    add_commands: Callable[[Commands], None] = _no_commands
    # The words of the command that prints a credential, which takes --subject and --scope.
    issue: Sequence[str] = ()
    # Variables for development, by the name of the service.
    development: Callable[[str], Mapping[str, str]] = _no_variables


async def allow_anonymous(_request: Request, scopes: Sequence[str]) -> Principal:
    """Allow anonymous access, for a service without authentication."""
    return Principal("", frozenset(scopes))


async def refuse_everyone(_request: Request, _scopes: Sequence[str]) -> Principal:
    """Refuse everyone, until the process has opened its authentication."""
    raise Unauthorized


def bearer(request: Request) -> str:
    """Read the one credential of `Authorization: Bearer` (RFC 6750, section 2.1). Raises Unauthorized."""
    fields = request.headers.getlist("authorization")
    if not fields:
        raise Unauthorized
    found = re.fullmatch(r"(?i:bearer) +([A-Za-z0-9._~+/=-]+)", fields[0])
    if len(fields) > 1 or found is None or len(found[1]) > MAX_CREDENTIAL:
        raise Unauthorized("The Authorization header must contain one bearer credential.")
    return found[1]
