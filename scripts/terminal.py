"""Runs a program in a virtual terminal, to read its screen and press keys."""

from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect
import pyte

ENTER, BACKSPACE, CLEAR, CTRL_C = "\r", "\x7f", "\x15", "\x03"
PATIENCE = 30.0


class Screen(pyte.Screen):
    """The screen of a program; it answers queries of the cursor position."""

    program: "pexpect.spawn[str]"

    def write_process_input(self, data: str) -> None:
        self.program.send(data)


class Terminal:
    """A command in a terminal, with HOME in its folder and an otherwise minimal environment."""

    def __init__(self, command: list[str], folder: Path, *, columns: int = 80, rows: int = 24) -> None:
        environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self.screen = Screen(columns, rows)
        self.stream = pyte.Stream(self.screen)
        self.program = self.screen.program = pexpect.spawn(
            command[0],
            command[1:],
            cwd=str(folder),
            env=environment,
            dimensions=(rows, columns),
            encoding="utf-8",
            timeout=PATIENCE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.close(force=True)

    def press(self, *keys: str) -> None:
        self.program.send("".join(keys))

    def text(self) -> str:
        """Return the lines of the screen without trailing spaces and empty lines."""
        # Only what was written: on a high screen `display` takes longer than a program waits for the cursor's position.
        written = [row for row, cells in self.screen.buffer.items() if cells]
        return "\n".join(self.line(row) for row in range(max(written, default=-1) + 1)).rstrip("\n")

    def line(self, row: int) -> str:
        cells = self.screen.buffer[row]
        return "".join(cells[column].data for column in range(self.screen.columns)).rstrip()

    def wait_for(self, text: str) -> str:
        """Wait until the screen shows a text, and return the screen."""
        while text not in self.text():
            try:
                self.stream.feed(self.program.read_nonblocking(4096, PATIENCE))
            except (pexpect.TIMEOUT, pexpect.EOF) as error:
                raise AssertionError(f"The screen does not show {text!r}:\n{self.text()}") from error
        return self.text()

    def wait_for_end(self) -> int:
        """Wait for the end of the program and return its exit status."""
        try:
            while True:
                self.stream.feed(self.program.read_nonblocking(4096, PATIENCE))
        except pexpect.EOF:
            self.program.close()
        status = self.program.exitstatus
        return -(self.program.signalstatus or 0) if status is None else status
