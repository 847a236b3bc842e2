"""Idempotency keys: a request that is sent again gives the answer of the first time, and one effect.

After draft-ietf-httpapi-idempotency-key-header-07. A key is scoped by principal and route and kept for a day. It shares
the transaction of the effect: a refused request, a failed commit or a killed process leaves it free.
"""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import Header, Request, Response

from chassis.data import Connection
from chassis.errors import BadRequest, Invalid, Unavailable
from chassis.http._context import context_of

# A key that has expired is free again. The row is locked, so of requests at once one goes first and the others wait.
CLAIM = """
    INSERT INTO chassis_idempotency_keys AS kept (principal, route, key, fingerprint) VALUES ($1, $2, $3, $4)
    ON CONFLICT (principal, route, key) DO UPDATE SET fingerprint = excluded.fingerprint, created_at = now()
    WHERE kept.created_at < now() - interval '24 hours'
    RETURNING true
"""

GET = """
    SELECT fingerprint, status, headers, body FROM chassis_idempotency_keys
    WHERE principal = $1 AND route = $2 AND key = $3
"""

KEEP = """
    UPDATE chassis_idempotency_keys SET status = $4, headers = $5, body = $6
    WHERE principal = $1 AND route = $2 AND key = $3
"""

type IdempotencyKey = Annotated[
    str | None,
    Header(
        description="A value of your own for this one effect, such as a UUID, sent again with each retry.",
        json_schema_extra={"pattern": "^[!#-~][!-~]{0,254}$", "maxLength": 255},
        examples=["0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b"],
    ),
]


class IdempotencyKeyRequired(BadRequest):
    title = "Idempotency-Key required"


class IdempotencyKeyInvalid(BadRequest):
    title = "Invalid Idempotency-Key"


class IdempotencyKeyReused(Invalid):
    title = "Idempotency-Key reused"


class Replayed(Exception):
    """The effect is there already; the answer it was acknowledged with ends the request."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that this request holds until its transaction ends."""

    connection: Connection
    principal: str
    route: str
    key: str

    async def keep(self, response: Response) -> None:
        """Store the answer beside the effect, in the same transaction. Raises TypeError for a stream."""
        if not hasattr(response, "body"):
            raise TypeError(f"{self.route} keeps its answer for who asks again: give it whole, not as a stream")
        kept = [(name, value) for name, value in response.headers.items() if name != "content-length"]
        body = bytes(response.body)
        await self.connection.execute(
            KEEP, self.principal, self.route, self.key, response.status_code, json.dumps(kept), body
        )


async def claim(connection: Connection, request: Request, offered: str | None) -> Claim:
    """Take the key for this request.

    Raises Replayed when the request was answered before, IdempotencyKeyReused when that was another one, and
    IdempotencyKeyRequired or IdempotencyKeyInvalid for what is no key.
    """
    route = request.app.state.routes.template_of(request.scope)
    held = Claim(connection, context_of(request).principal, route, _read(offered))
    names = (held.principal, held.route, held.key)
    fingerprint = await _fingerprint(request)
    if await connection.fetchval(CLAIM, *names, fingerprint):
        return held
    row = await connection.fetchrow(GET, *names)
    if row is None or row["status"] is None:
        raise Unavailable  # it has just expired
    if row["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused
    response = Response(row["body"], row["status"])
    for name, value in [*json.loads(row["headers"]), ("idempotency-replayed", "true")]:
        response.headers.append(name, value)
    raise Replayed(response)


def _read(offered: str | None) -> str:
    """Take the key bare, as many clients send it, or as the draft's quoted string."""
    if offered is None:
        raise IdempotencyKeyRequired
    key = offered[1:-1] if re.fullmatch(r'".*"', offered) else offered
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise IdempotencyKeyInvalid
    return key


async def _fingerprint(request: Request) -> bytes:
    """Tell one request from another: its method, its address and its body."""
    head = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return sha256(head + await request.body()).digest()
