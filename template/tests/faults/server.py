"""A PostgreSQL of the suite's own, which is killed, frozen and started again at the same address."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from time import sleep

from dev.postgres import Cluster

# What was committed outlives a kill of its processes without a wait for the disk.
OPTIONS = ("-c", "fsync=off", "-c", "max_connections=300")


class Postgres:
    """One cluster on one port."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._folder = Path(tempfile.mkdtemp(prefix="faults-"))
        self._cluster = Cluster(self._folder)
        self._pid_file = self._folder / "data" / "postmaster.pid"

    def start(self) -> None:
        """Return when it answers; it may have run all along."""
        self._cluster.start(*OPTIONS, "-p", str(self.port))

    def kill(self) -> None:
        """End all its processes at once."""
        pids = self._pids()
        for pid in pids:
            _send(pid, signal.SIGKILL)
        while any(_is_alive(pid) for pid in pids):
            sleep(0.01)
        self._pid_file.unlink(missing_ok=True)  # of a process that nobody has waited for, pg_ctl says that it runs

    def freeze(self) -> None:
        for pid in self._pids():
            _send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._pids():
            _send(pid, signal.SIGCONT)

    def remove(self) -> None:
        self._cluster.stop()
        shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        return self._cluster.url(database)

    def _pids(self) -> list[int]:
        """List the postmaster, first so that it starts no more children, and these; none when it is down."""
        if not self._pid_file.exists():
            return []
        postmaster = self._pid_file.read_text().splitlines()[0]
        command = ["/usr/bin/pgrep", "-P", postmaster]
        children = subprocess.run(command, check=False, capture_output=True, text=True).stdout
        return [int(pid) for pid in (postmaster, *children.split())]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended in between
        os.kill(pid, number)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
