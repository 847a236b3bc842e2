"""Conditional requests (RFC 9110, section 13): an entity's version is its tag, so that no writer overwrites another."""

from typing import Annotated

from fastapi import Depends, Header, Response

from chassis.errors import PreconditionFailed, PreconditionRequired
from chassis.http._openapi import documented, raises, sends

TAG_PATTERN = r'^"[0-9]+"$'


class NotModified(Exception):
    """The caller has this version already; 304 without a body is the whole answer."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag


class ReadCondition:
    """What `If-None-Match` says of a read."""

    def __init__(self, response: Response, tags: frozenset[str]) -> None:
        self._response = response
        self._tags = tags

    def tag(self, version: int) -> None:
        """Send the version as `ETag`. Raises NotModified when the caller has it, compared weakly."""
        made = tag_of(version)
        if {made, "*"}.intersection(tag.removeprefix("W/") for tag in self._tags):
            raise NotModified(made)
        self._response.headers["etag"] = made


class WriteCondition:
    """What `If-Match` says of a write, which must have it; `tags` is None when it has none."""

    def __init__(self, response: Response, tags: frozenset[str] | None) -> None:
        self._response = response
        self._tags = tags

    def check(self, version: int) -> None:
        """Compare with the version that is locked for the change.

        A request that is refused anyway is refused for that (RFC 9110, section 13.2.1), so all is said here.

        Raises PreconditionRequired without the field, and PreconditionFailed when the version is another.
        """
        if self._tags is None:
            raise PreconditionRequired
        if self._tags.isdisjoint({tag_of(version), "*"}):
            raise PreconditionFailed

    def tag(self, version: int) -> None:
        """Send the version after the change as `ETag`."""
        self._response.headers["etag"] = tag_of(version)


@documented(sends("ETag"), sends("ETag", status=304))
async def _if_none_match(
    response: Response,
    if_none_match: Annotated[
        str | None, Header(description="The `ETag` you have; 304 when it is still current.")
    ] = None,
) -> ReadCondition:
    return ReadCondition(response, _tags(if_none_match))


@documented(sends("ETag"), raises(PreconditionFailed, PreconditionRequired))
async def _if_match(
    response: Response,
    if_match: Annotated[
        str | None,
        Header(
            description="The `ETag` of what you change, as you have read it.",
            json_schema_extra={"pattern": TAG_PATTERN, "maxLength": 100, "examples": ['"1"']},
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
    """Split a list of entity tags; those of this service contain no comma."""
    return frozenset(tag.strip() for tag in (header or "").split(",")) - {""}
