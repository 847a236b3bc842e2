"""Says of an operation that it will go: the fields `Deprecation` (RFC 9745) and `Sunset` (RFC 8594), with links.

    @router.get("/old", deprecated=True, dependencies=[deprecated(since=date(2026, 1, 1), sunset=date(2027, 1, 1))])

`deprecated=True` is FastAPI's own, and marks the operation in the OpenAPI document.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

from fastapi import Depends, Request

from chassis.http._context import context_of


class Notice:
    """Leaves the fields for the middleware; it neither reads nor decides anything, so it may come before the policy."""

    def __init__(self, headers: Sequence[tuple[str, str]]) -> None:
        self._headers = headers

    async def __call__(self, request: Request) -> None:
        context_of(request).add_headers(self._headers)


def deprecated(
    *, since: date, sunset: date | None = None, link: str | None = None, successor: str | None = None
) -> Any:  # noqa: ANN401  # what Depends is to a type checker
    """Make a dependency for a route's `dependencies`; days begin at midnight UTC.

    `link` says what to do about it, `successor` is the URL of what to call instead (RFC 5829).
    """
    headers = [("deprecation", f"@{int(_midnight(since).timestamp())}")]
    if sunset:
        headers.append(("sunset", format_datetime(_midnight(sunset), usegmt=True)))
    links = [f'<{link}>; rel="{name}"' for name, when in (("deprecation", since), ("sunset", sunset)) if link and when]
    if successor:
        links.append(f'<{successor}>; rel="successor-version"')
    headers += [("link", link) for link in links]

    return Depends(Notice(headers))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
