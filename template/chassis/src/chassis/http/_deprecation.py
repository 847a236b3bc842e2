"""Deprecated operations: the fields `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` (RFC 8288).

    @router.get("/old", deprecated=True, dependencies=[deprecated(since=date(2026, 1, 1), sunset=date(2027, 1, 1))])

`deprecated=True` marks the operation in the OpenAPI document.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

from fastapi import Depends, Request

from chassis.http._context import context_of


class Notice:
    """Adds fields to the response; as it does nothing else, it may come before the policy."""

    def __init__(self, headers: Sequence[tuple[str, str]]) -> None:
        self._headers = headers

    async def __call__(self, request: Request) -> None:
        context_of(request.scope).headers.extend(self._headers)


def deprecated(
    *, since: date, sunset: date | None = None, link: str | None = None, successor: str | None = None
) -> Any:  # noqa: ANN401  # what Depends is to a type checker
    """Create a dependency for a route's `dependencies`; days begin at midnight UTC.

    `link` is the URL of a migration guide, `successor` that of the replacement (RFC 5829).
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
