"""Idempotency keys: a repeated request has no second effect and receives the first response.

After draft-ietf-httpapi-idempotency-key-header-07. A key is scoped to principal and route and is kept for a day. It is
stored in the transaction of the effect: a refused request, a failed commit or a killed process leaves the key unused.
"""

import json
import re
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from chassis.data import Connection, TransactionConflict
from chassis.errors import BadRequest, Invalid, Unavailable
from chassis.http._context import EarlyResponse, context_of
from chassis.http._openapi import documented, raises, sends
from chassis.http._transactions import open_transaction
from chassis.jobs import Retention, Transaction

# Replaces an expired key. Locks the row, so that concurrent requests with the same key wait for the first.
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

IDEMPOTENCY_KEYS = Retention(
    "idempotency_keys",
    """
    DELETE FROM chassis_idempotency_keys WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM chassis_idempotency_keys WHERE created_at < now() - $1::interval
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
    """,
    age=timedelta(hours=24),
)

type IdempotencyKey = Annotated[
    str | None,
    Header(
        description="A unique value, such as a UUID, that each retry of the request repeats.",
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


@documented(
    sends("Idempotency-Replayed"),
    raises(TransactionConflict, IdempotencyKeyRequired, IdempotencyKeyInvalid, IdempotencyKeyReused),
)
async def _idempotent(request: Request, idempotency_key: IdempotencyKey = None) -> Transaction:
    transaction = await open_transaction(request)
    connection, context = transaction.connection, context_of(request.scope)
    route = request.app.state.routes.template_of(request.scope)
    claim = (context.principal, route, _parse(idempotency_key))
    head = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    fingerprint = sha256(head + await request.body()).digest()
    if await connection.fetchval(CLAIM, *claim, fingerprint):
        context.keep = partial(_keep, connection, claim)
        return transaction
    row = await connection.fetchrow(GET, *claim)
    if row is None or row["status"] is None:
        raise Unavailable  # it has just expired
    if row["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused
    response = Response(row["body"], row["status"])
    for name, value in [*json.loads(row["headers"]), ("idempotency-replayed", "true")]:
        response.headers.append(name, value)
    raise EarlyResponse(response)


# As Writing, and the caller must send an Idempotency-Key: for a POST that creates something.
type IdempotentTransaction = Annotated[Transaction, Depends(_idempotent)]


def _parse(header: str | None) -> str:
    """Accept a bare key, as many clients send it, or the quoted string of the draft."""
    if header is None:
        raise IdempotencyKeyRequired
    key = header[1:-1] if re.fullmatch(r'".*"', header) else header
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise IdempotencyKeyInvalid
    return key


async def _keep(connection: Connection, claim: tuple[str, str, str], response: Response) -> None:
    """Store the response in the transaction of its effect. Raises TypeError for a stream."""
    if not hasattr(response, "body"):
        raise TypeError(f"{claim[1]} stores its response for retries: give it whole, not as a stream")
    headers = [(name, value) for name, value in response.headers.items() if name != "content-length"]
    await connection.execute(KEEP, *claim, response.status_code, json.dumps(headers), bytes(response.body))
