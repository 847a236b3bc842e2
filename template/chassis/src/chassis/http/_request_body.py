"""Reads the body of a request, limited in size and time, and parses JSON strictly."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from email.message import Message as Mime
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import jiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.errors import BadRequest, ContentTooLarge, Error, RequestTimeout, UnsupportedMediaType
from chassis.http._context import context_of
from chassis.http._problems import problem
from chassis.settings import EdgeSettings

# For this long the rest of a refused body is discarded: closing the connection at once could lose the response.
LINGER_SECONDS = 1.0


class RequestBodyMiddleware:
    """Reads the whole body before the route runs, so that a slow caller holds no database connection."""

    def __init__(self, app: ASGIApp, edge: EdgeSettings) -> None:
        self._app = app
        self._limit = edge.api_body_limit
        self._timeout = edge.api_body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if "content-length" in headers or "transfer-encoding" in headers:
                body = await self._take(headers, receive)
                receive = _replay(body, receive)
                context_of(scope).body_bytes = len(body)
                if body and is_json(headers.get("content-type", "")):
                    context_of(scope).json = _parse(body)
            _check_address(scope)
        except BadRequest as error:
            await problem(error)(scope, receive, send)
        except (ContentTooLarge, RequestTimeout) as error:
            await _refuse(error, scope, receive, send)
        except UnsupportedMediaType as error:
            await problem(error, headers={"accept-encoding": "identity"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _take(self, headers: Headers, receive: Receive) -> bytes:
        """Read the body. Raises ContentTooLarge, RequestTimeout, UnsupportedMediaType or BadRequest."""
        if int(headers.get("content-length", 0)) > self._limit:
            raise ContentTooLarge
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                async for part in _parts(receive):
                    body += part
                    if len(body) > self._limit:
                        raise ContentTooLarge
        except TimeoutError as error:
            raise RequestTimeout from error
        if body and headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("The request body must have no Content-Encoding.")
        return bytes(body)


@lru_cache(100)
def is_json(content_type: str) -> bool:
    """Tell whether a media type is JSON: `application/json` or `application/*+json`."""
    mime = Mime()
    mime["content-type"] = content_type
    subtype = mime.get_content_subtype()
    return mime.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


async def _parts(receive: Receive) -> AsyncGenerator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The request body is incomplete.")
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return the body as one message, then the messages of the server."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _parse(body: bytes) -> object:
    """Refuse what parsers disagree on or fail on.

    NaN and Infinity, duplicate names, unpaired surrogates, a byte order mark, invalid UTF-8, more than 200 levels,
    numbers of more than 4,300 digits.
    """
    try:
        return jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="none")
    except ValueError:  # its message quotes the body
        raise BadRequest("The request body is not valid JSON.") from None


def _check_address(scope: Scope) -> None:
    """Refuse NUL, which PostgreSQL cannot store, and invalid UTF-8."""
    for part in (scope["raw_path"], scope["query_string"]):
        if b"%" in part:
            try:
                text = unquote_to_bytes(part).decode()
            except UnicodeDecodeError:
                text = "\0"
            if "\0" in text:
                raise BadRequest("The URL contains NUL or invalid UTF-8.")


async def _refuse(error: Error, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once and close the connection, on which the rest of the body would follow."""
    response = problem(error)
    response.headers["connection"] = "close"

    async def send_unfinished(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await response(scope, receive, send_unfinished)
    with suppress(TimeoutError, BadRequest):
        async with asyncio.timeout(LINGER_SECONDS):
            async for _ in _parts(receive):
                pass
    await send({"type": "http.response.body", "body": b""})
