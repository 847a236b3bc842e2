"""Rate limits by client address and by principal, reported in the fields of draft-ietf-httpapi-ratelimit-headers-10.

`RateLimit-Policy: "address";q=1200;w=60` is what is allowed, `RateLimit: "address";r=1199;t=60` what is left. Windows
are fixed: they count with fewer round trips than sliding ones, and at a border a caller may have twice the quota.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from math import ceil
from time import time
from typing import Protocol

import structlog
from fastapi import Request
from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from starlette.types import ASGIApp, Receive, Scope, Send
from valkey.asyncio import BlockingConnectionPool
from valkey.exceptions import ValkeyError

from chassis.errors import TooManyRequests
from chassis.http._context import scope_context
from chassis.http._problems import problem
from chassis.settings import Settings

log = structlog.stdlib.get_logger(__name__)

STORE_TIMEOUT_SECONDS = 0.1
# So long the store is left alone after it did not answer.
STORE_PAUSE_SECONDS = 5.0
MAX_WINDOWS = 10_000


class Windows(Protocol):
    async def count(self, key: str, seconds: int) -> tuple[int, float]:
        """Count one more; answer how many there are in the window, and when it ends in seconds since the epoch."""
        ...


class OwnWindows:
    """Counts in this process, and forgets the address that was quiet for longest when there are too many.

    The library's own store looks through all keys with every request, which many addresses make slow.
    """

    def __init__(self) -> None:
        self._windows: dict[str, tuple[int, float]] = {}

    async def count(self, key: str, seconds: int) -> tuple[int, float]:
        now = time()
        used, end = self._windows.pop(key, (0, 0.0))
        window = (used + 1, end) if now < end else (1, now + seconds)
        self._windows[key] = window
        if len(self._windows) > MAX_WINDOWS:
            del self._windows[next(iter(self._windows))]
        return window


class SharedWindows:
    """Counts in a store that speaks the Redis protocol, for all processes together."""

    def __init__(self, pool: BlockingConnectionPool) -> None:
        options = {"connection_pool": pool}
        self._storage = RedisStorage("redis://", implementation="valkey", **options)  # type: ignore[arg-type]

    async def count(self, key: str, seconds: int) -> tuple[int, float]:
        async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
            return await self._storage.incr(key, seconds), await self._storage.get_expiry(key)


@dataclass(frozen=True, slots=True)
class Quota:
    """What one policy has left for a caller."""

    name: str
    amount: int
    seconds: int
    used: int
    reset: int

    def is_spent(self) -> bool:
        return self.used > self.amount

    def policy(self) -> str:
        return f'"{self.name}";q={self.amount};w={self.seconds}'

    def rest(self) -> str:
        return f'"{self.name}";r={max(0, self.amount - self.used)};t={self.reset}'


class Limits:
    """The policies of one process; without a rate, a policy is off."""

    def __init__(self, rates: dict[str, str], windows: Windows) -> None:
        self._rates: dict[str, RateLimitItem] = {name: parse(rate) for name, rate in rates.items() if rate}
        self._windows = windows
        self._paused_until = 0.0

    async def count(self, name: str, key: str) -> Quota | None:
        """Count a request of `key`; None when the policy is off or the store does not answer: then all are let in."""
        rate = self._rates.get(name)
        if rate is None or time() < self._paused_until:
            return None
        seconds = rate.get_expiry()
        try:
            used, end = await self._windows.count(f"{name}/{seconds}/{key}", seconds)
        except (OSError, ValkeyError) as error:
            self._paused_until = time() + STORE_PAUSE_SECONDS
            log.warning("rate limits disabled, store unavailable", error=type(error).__name__)
            return None
        return Quota(name, rate.amount, seconds, used, max(1, ceil(end - time())))


@asynccontextmanager
async def open_limits(settings: Settings) -> AsyncGenerator[Limits]:
    """Open the limits of `settings`; an unavailable store does not fail the start."""
    rates = {"address": settings.rate_limit_per_address, "principal": settings.rate_limit_per_principal}
    url = settings.rate_limit_url.get_secret_value()
    if not url:
        yield Limits(rates, OwnWindows())
        return
    pool = BlockingConnectionPool.from_url(url, timeout=STORE_TIMEOUT_SECONDS, max_connections=20)
    try:
        yield Limits(rates, SharedWindows(pool))
    finally:
        await pool.disconnect()


class RateLimitMiddleware:
    """Counts each request by its client's address before anything else is done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                await _count(scope, "address", _address(scope))
            except TooManyRequests as error:
                await problem(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def limit_principal(request: Request, principal: str) -> None:
    """Count the request by its principal. Raises TooManyRequests."""
    await _count(request.scope, "principal", principal)


async def _count(scope: Scope, name: str, key: str) -> None:
    """Count the request, and tell its quota in the answer."""
    limits: Limits | None = getattr(scope["app"].state, "limits", None)
    if limits and (quota := await limits.count(name, key)):
        scope_context(scope).add_headers([("ratelimit-policy", quota.policy()), ("ratelimit", quota.rest())])
        if quota.is_spent():
            raise TooManyRequests(retry_after=quota.reset)


def _address(scope: Scope) -> str:
    """Name the client: an IPv6 one by its network, in which it has as many addresses as it likes."""
    host: str = (scope.get("client") or ("", 0))[0]
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host)
    except ValueError:  # of a proxy's making
        return host
    return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))
