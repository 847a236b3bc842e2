"""Keyset pagination: a cursor is the last key of a page, so every page costs the same, however deep.

    async def list_notes(caller: Reader, connection: Reading, page: PageRequest) -> Page[NoteView]:
        notes = await service.list_before(connection, caller.subject, page.before, page.fetch_limit)
        return page.of(notes, NoteView.model_validate)

A cursor is signed for the caller and the list; a forged cursor, or that of another caller or list, is refused.
"""

import base64
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

type Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="The maximum number of items in a page.")]
type Cursor = Annotated[
    str | None,
    Query(
        description="`next_cursor` of the previous page; opaque.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]{43}$"},
    ),
]


class CursorInvalid(BadRequest):
    title = "Invalid cursor"


class Page[Item](BaseModel):
    """A page of items, newest first; `next_cursor` is null on the last page."""

    items: list[Item]
    next_cursor: str | None = Field(examples=[None])


class Keyed(Protocol):
    @property
    def id(self) -> UUID: ...


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs cursors for one caller and one list; the first secret signs, all are accepted."""

    secrets: Sequence[bytes]
    principal: str
    path: str

    def encode(self, key: UUID) -> str:
        return self._sign(key, self.secrets[0])

    def decode(self, cursor: str) -> UUID:
        """Return the key of a cursor. Raises CursorInvalid."""
        try:
            key = UUID(bytes=base64.urlsafe_b64decode(cursor + "=")[:16])
        except ValueError as error:
            raise CursorInvalid from error
        if not any(hmac.compare_digest(cursor, self._sign(key, secret)) for secret in self.secrets):
            raise CursorInvalid
        return key

    def _sign(self, key: UUID, secret: bytes) -> str:
        """Encode the key and the HMAC of key, caller and path; filters and page size may change between pages."""
        text = "\n".join((str(key), self.principal, self.path))
        signature = hmac.digest(secret, text.encode("utf-8", "surrogatepass"), "sha256")[:16]
        return base64.urlsafe_b64encode(key.bytes + signature).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class PageParameters:
    """The requested page: at most `limit` items that are older than `before`."""

    limit: int
    before: UUID | None
    signer: Signer

    @property
    def fetch_limit(self) -> int:
        """The number of rows to read: one more than the page has, to find out whether there is a next page."""
        return self.limit + 1

    def of[Row: Keyed, Item](self, rows: Sequence[Row], view: Callable[[Row], Item]) -> Page[Item]:
        """Create the page from at most `fetch_limit` rows, newest first."""
        items = rows[: self.limit]
        next_cursor = self.signer.encode(items[-1].id) if len(rows) > self.limit else None
        return Page(items=[view(row) for row in items], next_cursor=next_cursor)


@documented(raises(CursorInvalid))
async def _page(request: Request, limit: Limit = 20, cursor: Cursor = None) -> PageParameters:
    signer = Signer(request.app.state.signing_keys, context_of(request.scope).principal, request.scope["path"])
    return PageParameters(limit, None if cursor is None else signer.decode(cursor), signer)


# Put it after the policy, which sets the principal that the cursor is signed for.
type PageRequest = Annotated[PageParameters, Depends(_page)]
