"""Conditional requests (RFC 9110, section 13), with the version of an entity as its tag: no update is lost."""

from typing import Annotated

from fastapi import Depends, Header, Response

from chassis.errors import PreconditionFailed, PreconditionRequired
from chassis.http._context import EarlyResponse
from chassis.http._openapi import documented, raises, sends


class ReadCondition:
    """The `If-None-Match` of a read."""

    def __init__(self, response: Response, tags: frozenset[str]) -> None:
        self._response = response
        self._tags = tags

    def tag(self, version: int) -> None:
        """Send the version as `ETag`, or end the request with 304 if the caller has it (weak comparison)."""
        current = tag_of(version)
        if {current, "*"}.intersection(tag.removeprefix("W/") for tag in self._tags):
            raise EarlyResponse(Response(status_code=304, headers={"etag": current}))
        self._response.headers["etag"] = current


class WriteCondition:
    """The `If-Match` of a write; `tags` is None without this required field."""

    def __init__(self, response: Response, tags: frozenset[str] | None) -> None:
        self._response = response
        self._tags = tags

    def check(self, version: int) -> None:
        """Compare with the version of the locked row.

        Other errors take precedence (RFC 9110, section 13.2.1), so a missing field is not an error before this check.
        Raises PreconditionRequired without the field, PreconditionFailed for another version.
        """
        if self._tags is None:
            raise PreconditionRequired
        if self._tags.isdisjoint({tag_of(version), "*"}):
            raise PreconditionFailed

    def tag(self, version: int) -> None:
        """Send the new version as `ETag`."""
        self._response.headers["etag"] = tag_of(version)


@documented(sends("ETag"), sends("ETag", status=304))
async def _if_none_match(
    response: Response,
    if_none_match: Annotated[
        str | None, Header(description="The `ETag` you have; the response is 304 if it is current.")
    ] = None,
) -> ReadCondition:
    return ReadCondition(response, _tags(if_none_match))


@documented(sends("ETag"), raises(PreconditionFailed, PreconditionRequired))
async def _if_match(
    response: Response,
    if_match: Annotated[
        str | None,
        Header(
            description="The `ETag` of the version you have read.",
            json_schema_extra={"pattern": '^"[0-9]+"$', "maxLength": 100, "examples": ['"1"']},
        ),
    ] = None,
) -> WriteCondition:
    return WriteCondition(response, None if if_match is None else _tags(if_match))


type IfNoneMatch = Annotated[ReadCondition, Depends(_if_none_match)]
type IfMatch = Annotated[WriteCondition, Depends(_if_match)]


def tag_of(version: int) -> str:
    """Write a version as a strong entity tag (RFC 9110, section 8.8.3)."""
    return f'"{version}"'


def _tags(header: str | None) -> frozenset[str]:
    """Split a list of entity tags; the service's own contain no comma."""
    return frozenset(tag.strip() for tag in (header or "").split(",")) - {""}
