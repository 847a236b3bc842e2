"""Rate limits by client address and by principal, reported in the fields of draft-ietf-httpapi-ratelimit-headers-10.

`RateLimit-Policy: "address";q=1200;w=60` is the quota, `RateLimit: "address";r=1199;t=60` the rest of it. Windows are
fixed: they need fewer round trips than sliding ones, but a caller may use two quotas around the end of a window.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, IPv6Network
from math import ceil
from time import time
from typing import TYPE_CHECKING

import structlog
from limits import RateLimitItem, parse
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.errors import TooManyRequests
from chassis.http._context import RequestContext, context_of
from chassis.http._problems import problem
from chassis.settings import Settings

if TYPE_CHECKING:
    from chassis.http._shared_windows import SharedWindows

log = structlog.stdlib.get_logger(__name__)

# The store is not used for this long after an error.
STORE_PAUSE_SECONDS = 5.0
MAX_WINDOWS = 10_000


class OwnWindows:
    """Counts in this process, for the MAX_WINDOWS most recent callers.

    The library's own store iterates over all keys on every request, which is slow with many callers.
    """

    def __init__(self) -> None:
        self._windows: dict[str, tuple[int, float]] = {}

    async def count(self, key: str, seconds: int) -> tuple[int, float]:
        """Count a request; return the number in its window, and the end of the window in seconds since the epoch."""
        now = time()
        used, end = self._windows.pop(key, (0, 0.0))
        window = (used + 1, end) if now < end else (1, now + seconds)
        self._windows[key] = window
        if len(self._windows) > MAX_WINDOWS:
            del self._windows[next(iter(self._windows))]
        return window


class Limits:
    """The rate of each policy; a policy without a rate is disabled."""

    def __init__(self, rates: dict[str, str], windows: "OwnWindows | SharedWindows") -> None:
        self._rates: dict[str, RateLimitItem] = {name: parse(rate) for name, rate in rates.items() if rate}
        self._windows = windows
        self._paused_until = 0.0

    async def count(self, context: RequestContext, name: str, key: str) -> None:
        """Count a request of `key`, unless the store is unavailable. Raises TooManyRequests."""
        rate = self._rates.get(name)
        if rate is None or time() < self._paused_until:
            return
        seconds = rate.get_expiry()
        try:
            used, end = await self._windows.count(f"{name}/{seconds}/{key}", seconds)
        except OSError as error:
            self._paused_until = time() + STORE_PAUSE_SECONDS
            log.warning("rate limits disabled, store unavailable", error=str(error) or type(error).__name__)
            return
        left, reset = rate.amount - used, max(1, ceil(end - time()))
        context.headers.append(("ratelimit-policy", f'"{name}";q={rate.amount};w={seconds}'))
        context.headers.append(("ratelimit", f'"{name}";r={max(0, left)};t={reset}'))
        if left < 0:
            raise TooManyRequests(retry_after=reset)


@asynccontextmanager
async def open_limits(settings: Settings) -> AsyncGenerator[Limits]:
    """Open the limits of `settings`; the process starts without the store."""
    rates = {"address": settings.rate_limit_per_address, "principal": settings.rate_limit_per_principal}
    url = settings.rate_limit_url.get_secret_value()
    if not url:
        yield Limits(rates, OwnWindows())
        return
    from chassis.http._shared_windows import SharedWindows  # noqa: PLC0415  # its libraries take long to import

    async with SharedWindows.open(url) as windows:
        yield Limits(rates, windows)


class RateLimitMiddleware:
    """Counts each request by the address of its client."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                await count_request(scope, "address", _address(scope))
            except TooManyRequests as error:
                await problem(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def count_request(scope: Scope, name: str, key: str) -> None:
    """Count the request under a policy and report the quota in its response. Raises TooManyRequests."""
    limits: Limits | None = getattr(scope["app"].state, "limits", None)
    if limits:
        await limits.count(context_of(scope), name, key)


def _address(scope: Scope) -> str:
    """Return the client's IPv4 address or IPv6 /64 network: within a /64 network it can choose any address."""
    host: str = (scope.get("client") or ("", 0))[0]
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host)
    except ValueError:  # a name that the proxy sent
        return host
    return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))
