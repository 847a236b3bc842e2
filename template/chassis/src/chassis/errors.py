"""Errors that callers may see, each with its HTTP status; one handler renders them as problem details.

A module derives its own: `class InvoiceNotFound(NotFound): title = "Invoice not found"`.
`REFERENCE.md` lists the problem types of the chassis.
"""

import re
from collections.abc import Sequence
from typing import ClassVar


class Error(Exception):
    """An error with the members of a problem details object (RFC 9457, section 3.1).

    `type` is derived from the class name, for example `urn:problem-type:invoice-not-found`, so renaming a class is a
    breaking change. `detail` is sent to the caller: never put a secret or the caller's input in it.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    type: ClassVar[str] = "urn:problem-type:error"
    retry_after: int | None = None
    # Header fields of the response besides Retry-After, for the OpenAPI document.
    sends: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls) -> None:
        cls.type = "urn:problem-type:" + re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail

    def headers(self) -> dict[str, str]:
        """Return the header fields of the response."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}


class BadRequest(Error):
    status = 400
    title = "Bad request"


class Unauthorized(Error):
    """The request has no valid credential (RFC 6750, section 3.1)."""

    status = 401
    title = "Unauthorized"
    sends = ("WWW-Authenticate",)

    def headers(self) -> dict[str, str]:
        """Return the challenge; it names an error only if the request had a credential."""
        return {"www-authenticate": 'Bearer error="invalid_token"' if self.detail else "Bearer"}


class Forbidden(Error):
    """The credential is valid but does not grant access; `scopes` are the required ones, `missing` those it lacks."""

    status = 403
    title = "Forbidden"
    sends = ("WWW-Authenticate",)

    def __init__(self, scopes: Sequence[str] = (), missing: Sequence[str] = ()) -> None:
        lacking = missing or scopes
        noun = "scope" if len(lacking) == 1 else "scopes"
        super().__init__(f"The credential lacks the {noun} {' and '.join(lacking)}." if scopes else None)
        self.scopes = scopes

    def headers(self) -> dict[str, str]:
        """Return the challenge with the required scopes (RFC 6750, section 3.1)."""
        if not self.scopes:
            return {}
        return {"www-authenticate": f'Bearer error="insufficient_scope", scope="{" ".join(self.scopes)}"'}


class NotFound(Error):
    status = 404
    title = "Not found"


class MethodNotAllowed(Error):
    """The path supports other methods, listed in `Allow` (RFC 9110, section 15.5.6)."""

    status = 405
    title = "Method not allowed"


class NotAcceptable(Error):
    status = 406
    title = "Not acceptable"


class RequestTimeout(Error):
    """The request was not complete in time; the connection is closed."""

    status = 408
    title = "Request timeout"


class Conflict(Error):
    status = 409
    title = "Conflict"


class PreconditionFailed(Error):
    """The resource has changed since the caller read it (RFC 9110, section 15.5.13)."""

    status = 412
    title = "Precondition failed"


class ContentTooLarge(Error):
    status = 413
    title = "Content too large"


class UriTooLong(Error):
    status = 414
    title = "URI too long"


class UnsupportedMediaType(Error):
    status = 415
    title = "Unsupported media type"


class Invalid(Error):
    status = 422
    title = "Invalid request"


class PreconditionRequired(Error):
    """The request must send `If-Match` (RFC 6585, section 3)."""

    status = 428
    title = "Precondition required"


class TooManyRequests(Error):
    """The caller has exceeded a rate limit (RFC 6585, section 4), which resets after `retry_after` seconds."""

    status = 429
    title = "Too many requests"
    retry_after = 1

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class HeadersTooLarge(Error):
    status = 431
    title = "Request header fields too large"


class Unavailable(Error):
    """A dependency is unavailable; the caller may retry after `retry_after` seconds."""

    status = 503
    title = "Service unavailable"
    retry_after = 1
