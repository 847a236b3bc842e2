"""A process that imports the libraries, and the source only when it is told which command to run: it starts sooner."""

import importlib
import sys
from contextlib import suppress

from chassis.dev.project import service


def main() -> None:
    """Run the command on standard input, or end with it."""
    for module in (
        "chassis.runtime._api",
        "chassis.runtime._worker",
        "chassis.identity.oidc",
        "chassis.ops._export",
        "uvloop",
    ):
        with suppress(ImportError):  # an extra, or another platform
            importlib.import_module(module)
    if command := sys.stdin.readline().strip():
        service().main([command])


if __name__ == "__main__":
    main()
