"""What the recipes run in: the variables of `.env`, secrets of one's own, and the development database."""

import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from dotenv import dotenv_values

from chassis.dev import postgres
from chassis.dev.project import project_folder, service

# What the recipes set when neither the shell nor .env does.
DEVELOPMENT = {"LOG_FORMAT": "console", "API_DOCS": "true"}


def development_variables() -> Mapping[str, str]:
    """Give the variables of development, with those by which the service accepts credentials made here."""
    auth = service().auth
    return {**DEVELOPMENT, **(auth.development(service().name) if auth else {})}


def set_variables() -> None:
    """Set all but the database's."""
    for file in (project_folder() / ".env", _made_secrets()):
        for name, value in dotenv_values(file).items():
            os.environ.setdefault(name, value or "")
    for name, value in development_variables().items():
        os.environ.setdefault(name, value)


@contextmanager
def prepare() -> Generator[str]:
    """Set the variables of `.env` that the shell has not set, and what must be set when neither does."""
    set_variables()
    with postgres.database(service().name) as url:
        os.environ["DATABASE_URL"] = url
        yield url


def require_local(url: str) -> None:
    """Raise PostgresError unless the database is on this machine: no other database is emptied or filled."""
    parts = urlsplit(url)
    named = [parts.netloc.rpartition("@")[2], *parse_qs(parts.query).get("host", ())]
    for each in ",".join(filter(None, named)).split(","):
        host = unquote(urlsplit(f"//{each}").hostname or each)
        if host not in {"127.0.0.1", "::1", "localhost"} and not host.startswith("/"):
            raise postgres.PostgresError(f"DATABASE_URL names {host}: only one on this machine is emptied or filled")


def _made_secrets() -> Path:
    """Create the secrets of development where there are none, readable by their owner only."""
    file = project_folder() / ".dev" / "secrets"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(f"SIGNING_KEYS={secrets.token_urlsafe(32)}\n", encoding="utf-8")
    return file
