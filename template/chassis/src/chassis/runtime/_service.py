"""A service and its command line."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.runtime import _commands
from chassis.runtime._definition import ServiceDefinition


@dataclass(frozen=True)
class Service(ServiceDefinition):
    """A service of this name, which its distribution and its command have, too.

    `title` and `description` are those of the OpenAPI document. `auth` None admits every caller, as behind a mesh that
    authenticates; `events` None publishes nothing. `package` is the import name, by default the name with underscores.
    """

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Run one command of the command line; a mistake ends the process with one line and status 2."""
        _commands.main(self, arguments)
