"""Calls to other services, for a module's `gateway`: limited in time and size, to public addresses only.

    payments = HttpClient("payments", "https://payments.example", timeout=2)
    answer = await payments.request("POST", "/charges", json={...}, idempotency_key=str(message.id))

Bodies and credentials are never logged, cookies never stored, redirects never followed: a 3xx is returned.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import perf_counter
from typing import Any

import httpx
import structlog

from chassis.errors import Unavailable
from chassis.ops import fail, inject, metrics, request_id, span
from chassis.outbound._addresses import PublicTransport, TargetRefused
from chassis.outbound._breaker import CircuitBreaker, CircuitOpen
from chassis.settings import HttpClientSettings, load

log = structlog.stdlib.get_logger(__name__)

ATTEMPTS = 3
BACKOFF_SECONDS = 0.1
# A token bucket: retries are at most a tenth of the calls, plus a burst, so that an outage causes no retry storm.
RETRY_BUDGET = 10.0
RETRY_SHARE = 0.1
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


def reason_of(error: Exception) -> str:
    """Say why a call failed: in the words of the operating system or of TLS, else the class of the error only.

    Other messages may quote a header.
    """
    cause: BaseException = error
    while found := _below(cause):
        cause = found
    return f"{type(cause).__name__}: {cause}" if isinstance(cause, OSError) and str(cause) else type(error).__name__


def _below(error: BaseException) -> BaseException | None:
    """Return the cause of an error; anyio groups one error for each resolved address."""
    if isinstance(error, BaseExceptionGroup):
        return error.exceptions[0]
    # httpcore gives it as an argument. The context may be an error that the caller is handling.
    return error.__cause__ or next((each for each in error.args if isinstance(each, BaseException)), None)


class CallFailed(Unavailable):
    title = "Upstream service failed"


class _Failed(Exception):
    """One attempt failed; `wait` is its Retry-After in seconds."""

    def __init__(self, outcome: str, wait: float = 0) -> None:
        super().__init__(outcome)
        self.wait = wait


class HttpClient:
    """Calls one service; `name` labels its metrics. Opens with the first call, closes with the process."""

    def __init__(self, name: str, base_url: str, *, timeout: float = 5, max_bytes: int = 2**20) -> None:
        """`timeout` limits a call in seconds, retries included; `max_bytes` limits the body of the response."""
        self._name = name
        self._base_url = httpx.URL(base_url)
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._budget = RETRY_BUDGET
        self._breaker = CircuitBreaker(FAILURES_TO_OPEN, OPEN_SECONDS)
        self._client: httpx.AsyncClient | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        idempotency_key: str | None = None,
        **options: Any,  # noqa: ANN401  # httpx'
    ) -> httpx.Response:
        """Send a request, and retry it if its method is idempotent or it has a key.

        Returns any response except 429 and 5xx. Raises CallFailed if there is none in time, and TargetRefused if the
        URL has another origin than the client or the address is not allowed.
        """
        headers = httpx.Headers(options.pop("headers", None))
        headers["accept-encoding"] = "identity"  # a small compressed body may be huge
        if current := request_id.get():
            headers["x-request-id"] = current
        if idempotency_key:
            headers["idempotency-key"] = idempotency_key
        request = self._open().build_request(method, path, headers=headers, **options)
        url, base = request.url, self._base_url
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port) or url.userinfo != base.userinfo:
            raise TargetRefused  # a URL from a message must not receive the credentials of this client
        attempts = ATTEMPTS if idempotency_key or method in IDEMPOTENT else 1
        started, outcome = perf_counter(), "failed"
        try:
            answer = await self._attempt(request, attempts, started + self._timeout)
            outcome = f"{answer.status_code // 100}xx"
        except (CircuitOpen, _Failed) as error:
            outcome = "open" if isinstance(error, CircuitOpen) else "failed"
            log.warning("call failed", client=self._name, outcome=outcome, error=str(error))
            raise CallFailed from None
        except TargetRefused:
            outcome = "refused"
            raise
        else:
            return answer
        finally:
            metrics.OUTBOUND.labels(self._name, outcome).inc()
            metrics.OUTBOUND_SECONDS.labels(self._name).observe(perf_counter() - started)

    async def aclose(self) -> None:
        """Close the connections; the next call opens new ones."""
        _opened.discard(self)
        if self._client:
            client, self._client = self._client, None
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._base_url,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                timeout=self._timeout,
                transport=PublicTransport(load(HttpClientSettings)),
                trust_env=False,
            )
            _opened.add(self)
        return self._client

    async def _attempt(self, request: httpx.Request, attempts: int, deadline: float) -> httpx.Response:
        self._budget = min(RETRY_BUDGET, self._budget + RETRY_SHARE)
        for attempt in range(attempts):
            try:
                with self._breaker.call(_Failed):
                    return await self._send(request, deadline)
            except _Failed as failed:
                backoff = BACKOFF_SECONDS * 2**attempt * random.uniform(0.5, 1)  # noqa: S311  # jitter, not cryptography
                pause = max(backoff, failed.wait)
                if attempt + 1 == attempts or self._budget < 1 or perf_counter() + pause >= deadline:
                    raise
                self._budget -= 1
                await asyncio.sleep(pause)
        raise AssertionError

    async def _send(self, request: httpx.Request, deadline: float) -> httpx.Response:
        """Send once; a timeout counts as a failure for the circuit breaker as well."""
        try:
            async with asyncio.timeout(deadline - perf_counter()):
                answer, body = await self._exchange(request)
        except (httpx.TransportError, TimeoutError) as error:
            raise _Failed(reason_of(error)) from None
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS or answer.is_server_error:
            wait = answer.headers.get("retry-after", "")  # a date is ignored: the back-off applies
            raise _Failed(str(answer.status_code), float(wait) if wait.isascii() and wait.isdigit() else 0)
        return httpx.Response(answer.status_code, headers=answer.headers, content=body, request=request)

    async def _exchange(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "peer.service": self._name,
            "server.address": request.url.host,
            "server.port": request.url.port or PORTS.get(request.url.scheme, 0),
        }
        with span(request.method, "client", attributes) as sending:
            inject(request.headers)
            answer = await self._open().send(request, stream=True)
            sending.set_attribute("http.response.status_code", answer.status_code)
            if answer.is_error:
                fail(sending, str(answer.status_code))
            try:
                return answer, await self._read(answer)
            finally:
                await answer.aclose()

    async def _read(self, answer: httpx.Response) -> bytes:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise _Failed("encoded")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                raise _Failed("too large")
        return bytes(body)


_opened: set[HttpClient] = set()


@asynccontextmanager
async def closing_clients() -> AsyncGenerator[None]:
    """Close the clients that were used in the block."""
    try:
        yield
    finally:
        for client in tuple(_opened):
            await client.aclose()
