"""Opens one connection, or says in one line why it cannot be used."""

from typing import Any

import asyncpg

from chassis.data._pool import Connection
from chassis.settings import Settings

ENCODING = "UTF8"


class Unusable(Exception):
    """The server answers, but the service cannot use it; the message says what to do."""


async def connect(url: str, settings: Settings, **options: Any) -> Connection:  # noqa: ANN401  # those of asyncpg
    """Connect with the timeout of the settings. Raises Unusable, or what asyncpg raises."""
    try:
        session: Connection = await asyncpg.connect(
            url,
            timeout=settings.database_connect_timeout,
            statement_cache_size=settings.database_statement_cache,
            **options,
        )
    except asyncpg.ProtocolViolationError as error:
        if "startup parameter" not in str(error):
            raise
        raise Unusable(
            "DATABASE_URL is a pooler that refuses session settings: set DATABASE_LISTEN_URL to a direct connection"
        ) from error
    if (encoding := session.get_settings().server_encoding) != ENCODING:
        session.terminate()
        raise Unusable(f"the database has the encoding {encoding}: create it with ENCODING '{ENCODING}'")
    return session
