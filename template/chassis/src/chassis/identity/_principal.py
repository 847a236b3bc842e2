"""Principals, and the interface of an authentication method."""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Request

from chassis.data import Database
from chassis.errors import Unauthorized
from chassis.ops import Check, Commands
from chassis.settings import EnvironmentSettings


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: `subject` owns what it creates, `scopes` say what it may do."""

    subject: str
    scopes: frozenset[str]


# Returns the principal of a request to a route that requires these scopes. Raises Unauthorized.
type Authenticate = Callable[[Request, Sequence[str]], Coroutine[Any, Any, Principal]]


@dataclass(frozen=True, slots=True)
class Authentication:
    """An authentication method, for `Service(auth=...)`."""

    # Describes the bearer credential in the OpenAPI document.
    credential: str
    # Starts it for the lifetime of a process.
    open: Callable[[Database], AbstractAsyncContextManager[Authenticate]]
    settings: Sequence[type[EnvironmentSettings]] = ()
    # Folders of migrations by the owner of their tables.
    migrations: Mapping[str, Path] = field(default_factory=dict[str, Path])
    add_commands: Callable[[Commands], None] = lambda _commands: None
    # The command that prints a credential; it takes --subject and --scope.
    issue: Sequence[str] = ()
    # Environment variables for development, given the name of the service.
    development: Callable[[str], Mapping[str, str]] = lambda _service: {}
    # What `doctor` checks.
    checks: Mapping[str, Check] = field(default_factory=dict[str, Check])


async def allow_anonymous(_request: Request, scopes: Sequence[str]) -> Principal:
    """Grant every scope to every caller, for a service without authentication."""
    return Principal("", frozenset(scopes))


async def refuse_everyone(_request: Request, _scopes: Sequence[str]) -> Principal:
    """Refuse every caller, until the process has started its authentication."""
    raise Unauthorized


def bearer(request: Request) -> str:
    """Read the credential of `Authorization: Bearer`, at most 16 KiB (RFC 6750, section 2.1). Raises Unauthorized."""
    fields = request.headers.getlist("authorization")
    if not fields:
        raise Unauthorized
    found = re.fullmatch(r"(?i:bearer) +([A-Za-z0-9._~+/=-]{1,16384})", fields[0])
    if len(fields) > 1 or found is None:
        raise Unauthorized("The Authorization header must contain one bearer credential.")
    return found[1]
