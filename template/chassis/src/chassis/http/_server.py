"""Serves an application on one port and drains it on shutdown."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from chassis.http._protocol import EdgeProtocol, protocol_of
from chassis.settings import EdgeSettings, SettingsError

log = structlog.stdlib.get_logger(__name__)

# Before the variable of a port: the descriptor of a socket that listens there already.
INHERITED = "INHERITED_"


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to `stop_on_signals`, because a process has several servers."""
        yield


def listen(address: tuple[str, int], variables: tuple[str, str]) -> socket.socket:
    """Open a listening socket, or take the one that `chassis.dev` keeps open while this process restarts.

    Raises SettingsError, which names one of `variables`, those of host and port.
    """
    host, port = address
    if descriptor := os.environ.get(INHERITED + variables[1]):
        return socket.socket(fileno=int(descriptor))
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        number = error.errno or 0
        variable = variables[number in {errno.EADDRINUSE, errno.EACCES}]
        reason = os.strerror(number) if number > 0 else "Unknown host"  # errors of the resolver are negative
        raise SettingsError(f"{variable} is wrong, cannot listen on {host} port {port}: {reason}") from error


@asynccontextmanager
async def serving(
    app: ASGIApp, address: tuple[str, int], grace: float, variables: tuple[str, str], edge: EdgeSettings | None = None
) -> AsyncGenerator[asyncio.Task[None]]:
    """Serve `app` while the block runs, then finish the requests that have arrived, in `grace` seconds at most.

    The task is done before the end of the block only if the server has ended by itself.
    `edge` has the limits and the trusted proxies of the public port; without it, no proxy is trusted.
    Raises SettingsError if it cannot listen on `address`, whose host and port are from these `variables`.
    """
    listener = listen(address, variables)
    proxies = [str(network) for network in edge.api_trusted_proxies] if edge else []
    config = uvicorn.Config(
        app,
        access_log=False,
        forwarded_allow_ips=proxies,
        http=protocol_of(edge) if edge else EdgeProtocol,
        lifespan="off",
        log_config=None,
        proxy_headers=bool(proxies),
        server_header=False,
        timeout_graceful_shutdown=max(1, round(grace)),
        ws="none",
    )
    log.info("listening", host=address[0], port=address[1])
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield task
    finally:
        server.should_exit = True
        await task
