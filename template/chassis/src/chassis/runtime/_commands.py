"""The command line: serve the API, run the worker, migrate the database, manage dead letters, print the document."""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from chassis.jobs import add_commands
from chassis.ops import run
from chassis.runtime._definition import ServiceDefinition
from chassis.settings import Settings, StartError, load

DESCRIPTION = "Settings come from the environment; .env.example lists them all."


def main(service: ServiceDefinition, arguments: Sequence[str] | None = None) -> None:
    """Run one command; a mistake in the settings, the modules or the migrations ends it with one line and status 2."""
    parser = _parser(service)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except StartError as error:
        parser.exit(2, f"{service.name}: {error}\n")


def _parser(service: ServiceDefinition) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=service.name, description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    api = commands.add_parser("api", help="serve the API until SIGTERM")
    api.set_defaults(run=partial(_api, service))

    worker = commands.add_parser("worker", help="run jobs until SIGTERM")
    worker.set_defaults(run=partial(_worker, service))

    migrate = commands.add_parser("migrate", help="bring the database to the newest revisions")
    migrate.add_argument("--downgrade", metavar="REVISION", help="go back instead, as in invoices@base")
    migrate.set_defaults(run=partial(_migrate, service))

    openapi = commands.add_parser("openapi", help="print the OpenAPI document")
    openapi.add_argument("--output", type=Path, metavar="FILE", help="write it to FILE instead")
    openapi.set_defaults(run=partial(_openapi, service))

    add_commands(commands)
    if service.auth:
        service.auth.add_commands(commands)
    return parser


def _api(service: ServiceDefinition, _options: argparse.Namespace) -> None:
    from chassis.runtime import _api as api

    run(api.serve(service, _settings(service)))


def _worker(service: ServiceDefinition, _options: argparse.Namespace) -> None:
    from chassis.runtime import _worker as worker

    run(worker.serve(service, _settings(service)))


def _migrate(service: ServiceDefinition, options: argparse.Namespace) -> None:
    from chassis.data.migration import migrate

    run(migrate(load(Settings), service.migrations, downgrade=options.downgrade))
    print(f"The database is at {options.downgrade or 'the newest revisions'}.")


def _openapi(service: ServiceDefinition, options: argparse.Namespace) -> None:
    document = json.dumps(service.create_api().openapi(), indent=2, ensure_ascii=False) + "\n"
    if options.output:
        options.output.write_text(document, encoding="utf-8")
    else:
        sys.stdout.write(document)


def _settings(service: ServiceDefinition) -> Settings:
    """Read the settings of the process, and those of each module, so that a mistake in one ends the start."""
    settings = load(Settings)
    for module in service.modules:
        if module.settings:
            load(module.settings)
    return settings
