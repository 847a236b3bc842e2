"""Keyset pagination: a cursor is the last key seen, so a page costs the same however deep it is.

    async def list_notes(caller: Reader, connection: Reading, page: PageRequest) -> Page[NoteView]:
        notes = await service.list_before(connection, caller.subject, page.before, page.fetch_limit)
        return page.of(notes, NoteView.model_validate)

A cursor is signed for the caller and the list: one that was made up, changed or meant for another is refused.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from chassis.errors import BadRequest
from chassis.http._context import context_of
from chassis.http._openapi import documented, raises

MAX_PAGE = 100

SIGNATURE_BYTES = 16

type Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="The maximum number of items in a page.")]
type Cursor = Annotated[
    str | None,
    Query(
        description="`next_cursor` of the page before; opaque.", json_schema_extra={"pattern": "^[A-Za-z0-9_-]{43}$"}
    ),
]


class CursorInvalid(BadRequest):
    title = "Invalid cursor"


class Page[Item](BaseModel):
    """Some items, newest first; `next_cursor` is null on the last page."""

    items: list[Item]
    next_cursor: str | None = Field(examples=[None])


class Keyed(Protocol):
    @property
    def id(self) -> UUID: ...


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs keys for one caller and one list; the first of the secrets signs, all are accepted."""

    secrets: Sequence[bytes]
    principal: str
    path: str

    def encode(self, key: UUID) -> str:
        """Write a key with its signature as 43 characters that are safe in a URL."""
        return _write(key.bytes + self._sign(key, self.secrets[0]))

    def decode(self, cursor: str) -> UUID:
        """Read what `encode` wrote for the same list and caller. Raises CursorInvalid for anything else."""
        try:
            signed = base64.b64decode(cursor + "=", altchars=b"-_", validate=True)
            key = UUID(bytes=signed[:-SIGNATURE_BYTES])
        except (binascii.Error, ValueError) as error:
            raise CursorInvalid from error
        if _write(signed) != cursor:  # the last character has two bits that say nothing
            raise CursorInvalid
        if not any(hmac.compare_digest(signed[-SIGNATURE_BYTES:], self._sign(key, secret)) for secret in self.secrets):
            raise CursorInvalid
        return key

    def _sign(self, key: UUID, secret: bytes) -> bytes:
        """Make the HMAC of the key, the caller and the path; filters and the page size may change on the way."""
        text = "\n".join((str(key), self.principal, self.path))
        return hmac.digest(secret, text.encode("utf-8", "surrogatepass"), "sha256")[:SIGNATURE_BYTES]


def _write(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class PageParameters:
    """What the caller asked for: at most `limit` items that are older than `before`."""

    limit: int
    before: UUID | None
    signer: Signer

    @property
    def fetch_limit(self) -> int:
        """How many rows to read: one more than the page has, to see whether there is a next page."""
        return self.limit + 1

    def of[Row: Keyed, Item](self, rows: Sequence[Row], view: Callable[[Row], Item]) -> Page[Item]:
        """Make the page of at most `fetch_limit` rows, newest first."""
        items = rows[: self.limit]
        next_cursor = self.signer.encode(items[-1].id) if len(rows) > self.limit else None
        return Page(items=[view(row) for row in items], next_cursor=next_cursor)


@documented(raises(CursorInvalid))
async def _page(request: Request, limit: Limit = 20, cursor: Cursor = None) -> PageParameters:
    signer = Signer(request.app.state.signing_keys, context_of(request).principal, request.scope["path"])
    return PageParameters(limit, None if cursor is None else signer.decode(cursor), signer)


# After the policy of its route, whose principal the cursor is signed for.
type PageRequest = Annotated[PageParameters, Depends(_page)]
