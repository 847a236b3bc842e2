"""A PostgreSQL of the suite's own, which is killed, frozen and started again at the same address."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import sleep

from chassis.dev.postgres import Cluster

# What was committed outlives a kill of its processes without a wait for the disk.
OPTIONS = ("-c", "fsync=off", "-c", "max_connections=300")
# Not everywhere; where it is missing, pgrep is there.
PROCESSES = Path("/proc")
ZOMBIE = "Z"


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
        pids = self.freeze()
        for pid in pids:
            _send(pid, signal.SIGKILL)
        for _ in range(500):  # no longer, since another process may have got its number
            if not any(_is_alive(pid) for pid in pids):
                break
            sleep(0.01)
        self._pid_file.unlink(missing_ok=True)  # of a process that nobody has waited for, pg_ctl says that it runs

    def freeze(self) -> Sequence[int]:
        """Stop the postmaster first, which then starts no more children, and give what was frozen."""
        return self._send_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send_all(signal.SIGCONT)

    def remove(self) -> None:
        self.thaw()
        self._cluster.stop()
        shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        return self._cluster.url(database)

    def _send_all(self, number: signal.Signals) -> Sequence[int]:
        if not self._pid_file.exists():
            return []
        postmaster = int(self._pid_file.read_text().splitlines()[0])
        _send(postmaster, number)
        children = _children_of(postmaster)
        for pid in children:
            _send(pid, number)
        return [postmaster, *children]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended in between
        os.kill(pid, number)


def _children_of(parent: int) -> Sequence[int]:
    if not PROCESSES.exists():
        command = ["/usr/bin/pgrep", "-P", str(parent)]
        return [int(pid) for pid in subprocess.run(command, check=False, stdout=subprocess.PIPE).stdout.split()]
    pids = [int(entry.name) for entry in PROCESSES.iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _stat(pid)[1] == str(parent)]


def _is_alive(pid: int) -> bool:
    if PROCESSES.exists():
        return _stat(pid)[0] != ZOMBIE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _stat(pid: int) -> Sequence[str]:
    """Give the state of a process and its parent; one that has gone is a zombie without any."""
    try:
        text = (PROCESSES / str(pid) / "stat").read_text()
    except OSError:
        return (ZOMBIE, "")
    return text.rpartition(")")[2].split()[:2]
