"""A service and its command line."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.runtime import _commands
from chassis.runtime._definition import ServiceDefinition


@dataclass(frozen=True)
class Service(ServiceDefinition):
    """A service; its distribution and its command have the same name.

    `title` and `description` are those of the OpenAPI document. Without `auth` every caller is accepted, as behind a
    service mesh; without `events` nothing is published. `package` is the import name, by default derived from `name`.
    """

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Run one command; a StartError ends the process with one line and status 2."""
        _commands.main(self, arguments)
