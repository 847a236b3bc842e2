"""The ports of development; those of both processes stay open, so that connections wait while a process restarts."""

import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

import psutil

from chassis.http._server import listen
from chassis.settings import Settings, SettingsError, StartError


class PortTaken(StartError):
    """Another process listens on a port of this service; the message names both."""


def open_ports(settings: Settings) -> Mapping[str, socket.socket]:
    """Listen on the ports of both processes, by the names of their variables. Raises PortTaken or SettingsError.

    On Windows, where a process cannot inherit a socket, they are only known to be free.
    """
    opened = {
        variables[1]: _open((host, port), variables)
        for host, port, variables in (
            (settings.api_host, settings.api_port, ("API_HOST", "API_PORT")),
            (settings.operations_host, settings.api_operations_port, ("OPERATIONS_HOST", "API_OPERATIONS_PORT")),
            (settings.operations_host, settings.worker_operations_port, ("OPERATIONS_HOST", "WORKER_OPERATIONS_PORT")),
        )
    }
    if sys.platform == "win32":
        for listener in opened.values():
            listener.close()
        return {}
    return opened


def _open(address: tuple[str, int], variables: tuple[str, str]) -> socket.socket:
    try:
        return listen(address, variables)
    except SettingsError as error:
        if holder := holder_of(address[1]):
            raise PortTaken(f"port {address[1]} is taken by {holder}: end it, or set {variables[1]} in .env") from error
        raise


def holder_of(port: int) -> str:
    """Name the process that listens on a port; empty if there is none, or none that this user may look at."""
    for process in psutil.process_iter(["name", "net_connections"]):
        for connection in process.info["net_connections"] or ():
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return f"{process.info['name']} (process {process.pid})"
    return ""


def free_port(preferred: int) -> int:
    """Return this port, or another free port of 127.0.0.1 if it is taken."""
    with suppress(OSError), socket.create_server(("127.0.0.1", preferred)):
        return preferred
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
