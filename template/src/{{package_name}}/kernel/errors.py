"""The errors a caller may see, each with its HTTP status; `problems` renders them once.

Error (500)
├── BadRequest (400)
├── Unauthorized (401)
├── Forbidden (403)
├── NotFound (404)
├── MethodNotAllowed (405)
├── NotAcceptable (406)
├── RequestTimeout (408)
├── Conflict (409)
├── PreconditionFailed (412)
├── ContentTooLarge (413)
├── UriTooLong (414)
├── UnsupportedMediaType (415)
├── Invalid (422)
├── PreconditionRequired (428)
├── TooManyRequests (429)
├── HeadersTooLarge (431)
└── Unavailable (503)

A module derives its own: `class InvoiceNotFound(NotFound): title = "Invoice not found"`.
`docs/problems.md` lists those of the kernel.
"""

import re
from collections.abc import Sequence
from typing import ClassVar


class Error(Exception):
    """An error with the members of a problem details object (RFC 9457, section 3.1).

    `type` is made from the class name, as in `urn:problem-type:invoice-not-found`, so renaming a class changes the
    contract. `detail` is shown to the caller: never put a secret or the caller's input in it.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    type: ClassVar[str] = "urn:problem-type:error"
    retry_after: int | None = None
    # Names of header fields that the answer has besides Retry-After, for the OpenAPI document.
    sends: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls) -> None:
        cls.type = "urn:problem-type:" + re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail

    def headers(self) -> dict[str, str]:
        """Give the header fields that the answer carries."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}


class BadRequest(Error):
    status = 400
    title = "Bad request"


class Unauthorized(Error):
    """The caller has not said who it is, or not so that it can be believed (RFC 6750, section 3.1)."""

    status = 401
    title = "Unauthorized"
    sends = ("WWW-Authenticate",)

    def headers(self) -> dict[str, str]:
        """Challenge the caller; `detail` is there when it has shown something."""
        return {"www-authenticate": 'Bearer error="invalid_token"' if self.detail else "Bearer"}


class Forbidden(Error):
    """The caller is known and may not do this; `scopes` would let it."""

    status = 403
    title = "Forbidden"
    sends = ("WWW-Authenticate",)

    def __init__(self, scopes: Sequence[str] = ()) -> None:
        super().__init__("A scope is missing." if scopes else None)
        self.scopes = scopes

    def headers(self) -> dict[str, str]:
        """Name what is needed (RFC 6750, section 3.1)."""
        if not self.scopes:
            return {}
        return {"www-authenticate": f'Bearer error="insufficient_scope", scope="{" ".join(self.scopes)}"'}


class NotFound(Error):
    status = 404
    title = "Not found"


class MethodNotAllowed(Error):
    """The path is there, for other methods; `Allow` names them (RFC 9110, section 15.5.6)."""

    status = 405
    title = "Method not allowed"


class NotAcceptable(Error):
    status = 406
    title = "Only JSON can be given"


class RequestTimeout(Error):
    """The request did not arrive whole in time; its connection is closed."""

    status = 408
    title = "The request arrived too slowly"


class Conflict(Error):
    status = 409
    title = "Conflict"


class PreconditionFailed(Error):
    """What the caller has read has changed since (RFC 9110, section 15.5.13)."""

    status = 412
    title = "Changed since it was read"


class ContentTooLarge(Error):
    status = 413
    title = "The body is too large"


class UriTooLong(Error):
    status = 414
    title = "The address is too long"


class UnsupportedMediaType(Error):
    status = 415
    title = "The body must be JSON"


class Invalid(Error):
    status = 422
    title = "Invalid request"


class PreconditionRequired(Error):
    """The request must say which version it is for (RFC 6585, section 3)."""

    status = 428
    title = "If-Match is required"


class TooManyRequests(Error):
    """The caller has spent a quota (RFC 6585, section 4); `retry_after` seconds on, there is a new one."""

    status = 429
    title = "Too many requests"
    retry_after = 1

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class HeadersTooLarge(Error):
    """RFC 6585, section 5."""

    status = 431
    title = "The headers are too large"


class Unavailable(Error):
    """Something the service needs is away for now; the caller may try again after `retry_after` seconds."""

    status = 503
    title = "Temporarily unavailable"
    retry_after = 1
