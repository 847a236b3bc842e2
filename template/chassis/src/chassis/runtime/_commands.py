"""The command line of a service."""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog

from chassis.data import reason_of
from chassis.errors import Unavailable
from chassis.jobs import add_commands
from chassis.ops import configure_logs, run
from chassis.runtime._definition import ServiceDefinition
from chassis.settings import Settings, StartError, load, service_links

log = structlog.stdlib.get_logger(__name__)


def main(service: ServiceDefinition, arguments: Sequence[str] | None = None) -> None:
    """Run one command; a StartError ends the process with one line and status 2."""
    description = "Settings are environment variables; .env.example lists them all."
    parser = argparse.ArgumentParser(prog=service.name, description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    commands.add_parser("api", help="serve the API until SIGTERM").set_defaults(run=partial(_api, service))
    commands.add_parser("worker", help="run jobs until SIGTERM").set_defaults(run=partial(_worker, service))

    migrate = commands.add_parser("migrate", help="apply all migrations")
    migrate.add_argument("--downgrade", metavar="REVISION", help="revert to a revision, for example invoices@base")
    migrate.set_defaults(run=partial(_migrate, service))

    doctor = commands.add_parser("doctor", help="check settings, database and other services, and say what to correct")
    doctor.set_defaults(run=partial(_doctor, service))

    openapi = commands.add_parser("openapi", help="print the OpenAPI document")
    openapi.add_argument("--output", type=Path, metavar="FILE", help="write it to FILE instead")
    openapi.set_defaults(run=partial(_openapi, service))

    add_commands(commands)
    if service.auth:
        service.auth.add_commands(commands)
    if service.events:
        service.events.add_commands(commands)

    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except StartError as error:
        parser.exit(2, f"{service.name}: {error}\n")
    except Unavailable as error:
        reason = reason_of(error.__cause__ or error)
        parser.exit(2, f"{service.name}: the database is unavailable or not migrated: {reason}\n")


def _api(service: ServiceDefinition, _options: argparse.Namespace) -> None:
    from chassis.runtime import _api as api

    run(api.serve(service, _settings(service, "api")))


def _worker(service: ServiceDefinition, _options: argparse.Namespace) -> None:
    from chassis.runtime import _worker as worker

    run(worker.serve(service, _settings(service, "worker")))


def _migrate(service: ServiceDefinition, options: argparse.Namespace) -> None:
    from chassis.data.migration import migrate

    run(migrate(load(Settings), service.migrations, downgrade=options.downgrade))
    print(f"The database is at {options.downgrade or 'the newest revisions'}.")


def _doctor(service: ServiceDefinition, _options: argparse.Namespace) -> None:
    from chassis.runtime import _doctor as doctor

    sys.exit(doctor.main(service))


def _openapi(service: ServiceDefinition, options: argparse.Namespace) -> None:
    document = json.dumps(service.create_api().openapi(), indent=2, ensure_ascii=False) + "\n"
    if options.output:
        options.output.write_text(document, encoding="utf-8")
    else:
        sys.stdout.write(document)


def _settings(service: ServiceDefinition, process: str) -> Settings:
    """Read the settings of the process, start the logs, and check the settings of each module before it starts."""
    settings = load(Settings)
    configure_logs(settings, process, f"{service.name}@{service.version}")
    for module in service.modules:
        if module.settings:
            load(module.settings)
    for variable in service_links(service.settings):
        log.warning("variable of a Kubernetes Service ignored", variable=variable)
    return settings
