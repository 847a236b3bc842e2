"""Connects to public addresses only: a name is resolved once, and only a checked address is connected to."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import cast

import httpcore
import httpx

from chassis.errors import Invalid
from chassis.settings import HttpClientSettings, Networks

type Resolve = Callable[[str, int], Awaitable[list[str]]]

NAT64 = IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = IPv6Network("2000::/3")

# At level info these log whole URLs, at level debug credentials.
for library in ("httpx", "httpcore"):
    logging.getLogger(library).setLevel(logging.WARNING)


class TargetRefused(Invalid):
    title = "Target address not allowed"


async def resolve(host: str, port: int) -> list[str]:
    """Ask the operating system, which also accepts the decimal, octal and short forms of IPv4 addresses."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def is_public(text: str) -> bool:
    """Return whether an address, or the IPv4 address embedded in it, is global unicast."""
    address = _unwrapped(text)
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    return address in GLOBAL_UNICAST and address.is_global and not (address.sixtofour or address.teredo)


def _unwrapped(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address.ipv4_mapped or address


class PublicBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore, to public addresses and to those in the `allowed` networks."""

    def __init__(self, allowed: Networks, resolve: Resolve = resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers. Raises TargetRefused if none is allowed."""
        try:
            addresses = await asyncio.wait_for(self._resolve(host, port), timeout)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name has no address") from error
        addresses = [address for address in dict.fromkeys(addresses) if self._is_allowed(address)]
        if not addresses:
            raise TargetRefused
        share = timeout and timeout / len(addresses)
        for address in addresses[:-1]:
            with suppress(httpcore.NetworkError, httpcore.ConnectTimeout):  # the next address may answer
                return await self._backend.connect_tcp(address, port, share, local_address, socket_options)
        return await self._backend.connect_tcp(addresses[-1], port, share, local_address, socket_options)

    def _is_allowed(self, address: str) -> bool:
        return is_public(address) or any(_unwrapped(address) in network for network in self._allowed)


class PublicTransport(httpx.AsyncHTTPTransport):
    """httpx over a `PublicBackend`, or through the proxy of the settings, which then restricts the targets."""

    def __init__(self, settings: HttpClientSettings) -> None:
        context = settings.tls()
        proxy = settings.http_client_proxy.get_secret_value() or None
        super().__init__(verify=context, proxy=proxy)
        if proxy is None:  # httpx has no parameter for a backend
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_connections=100,
                max_keepalive_connections=20,
                keepalive_expiry=5,
                network_backend=PublicBackend(settings.http_client_allowed_networks),
            )
