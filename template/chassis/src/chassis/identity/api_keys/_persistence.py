"""The SQL of API keys."""

from collections.abc import Sequence

from asyncpg import Record

from chassis.data import Connection
from chassis.identity.api_keys._keys import NewKey

FIND = """
    SELECT hash, subject, scopes, coalesce(last_used_at < now() - interval '1 minute', true) AS is_seldom_used
    FROM chassis_api_keys
    WHERE id = $1 AND revoked_at IS NULL AND expires_at > now()
"""

# The condition is repeated so that only one of several concurrent requests writes.
TOUCH = """
    UPDATE chassis_api_keys SET last_used_at = now()
    WHERE id = $1 AND coalesce(last_used_at < now() - interval '1 minute', true)
"""

INSERT = """
    INSERT INTO chassis_api_keys (id, hash, subject, scopes, expires_at)
    VALUES ($1, $2, $3, $4, now() + make_interval(days => $5))
"""

LIST = "SELECT id, subject, scopes, expires_at, last_used_at, revoked_at FROM chassis_api_keys ORDER BY created_at, id"

ROTATE = """
    WITH old AS (
        UPDATE chassis_api_keys SET expires_at = least(expires_at, now() + make_interval(hours => $5))
        WHERE id = $1 AND revoked_at IS NULL AND expires_at > now()
        RETURNING subject, scopes
    )
    INSERT INTO chassis_api_keys (id, hash, subject, scopes, expires_at)
    SELECT $2, $3, subject, scopes, now() + make_interval(days => $4) FROM old
    RETURNING id
"""

REVOKE = "UPDATE chassis_api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING id"


async def find(connection: Connection, key_id: str) -> Record | None:
    """Read the columns of FIND if the key is neither revoked nor expired."""
    return await connection.fetchrow(FIND, key_id)


async def touch(connection: Connection, key_id: str) -> None:
    await connection.execute(TOUCH, key_id)


async def add(connection: Connection, key: NewKey, subject: str, scopes: Sequence[str], days: int) -> None:
    await connection.execute(INSERT, key.id, key.hash, subject, scopes, days)


async def list_all(connection: Connection) -> Sequence[Record]:
    return await connection.fetch(LIST)


async def rotate(connection: Connection, key_id: str, key: NewKey, days: int, grace_hours: int) -> bool:
    """Add a successor to a key, which expires after the grace period. Returns False if the key is not in use."""
    return await connection.fetchval(ROTATE, key_id, key.id, key.hash, days, grace_hours) is not None


async def revoke(connection: Connection, key_id: str) -> bool:
    return await connection.fetchval(REVOKE, key_id) is not None
