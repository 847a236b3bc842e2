"""The API process: the public port and the operations port."""

import asyncio

from chassis.data import Revisions, open_database
from chassis.http import connect, open_limits, serving
from chassis.jobs import Outbox
from chassis.ops import Readiness, build, create_operations, measuring, stop_on_signals
from chassis.outbound import closing_clients
from chassis.runtime._definition import ServiceDefinition, describe
from chassis.runtime._modules import handlers_of
from chassis.settings import ApiSecrets, EdgeSettings, Settings, load


async def serve(service: ServiceDefinition, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that have arrived."""
    stop = stop_on_signals()
    built = build(service.name, settings)
    edge = load(EdgeSettings)
    api = service.create_api(docs=settings.api_docs, edge=edge)
    api.state.signing_keys = [key.get_secret_value() for key in load(ApiSecrets).signing_keys]
    async with (
        service.recording("api"),
        open_database(settings) as database,
        open_limits(settings) as api.state.limits,
        measuring(built),
        closing_clients(),
    ):
        database.watch()
        connect(api, database, Outbox(database, handlers_of(service.modules)))
        checks = {"database": database.ready, "migrations": Revisions(database, service.migrations).are_applied}
        servers = list[asyncio.Task[None]]()
        operations = create_operations(
            Readiness(stop, checks).failing,
            describe(service.name, "api", built),
            lambda: ["server" for server in servers if server.done()],
        )
        internal = (settings.operations_host, settings.api_operations_port)
        public = (settings.api_host, settings.api_port)
        async with (
            service.authenticating(database) as api.state.authenticate,
            serving(operations, internal, 1, ("OPERATIONS_HOST", "API_OPERATIONS_PORT")),
            serving(api, public, settings.shutdown_timeout, ("API_HOST", "API_PORT"), edge) as server,
        ):
            servers.append(server)
            await stop.wait()
            await asyncio.sleep(settings.shutdown_delay)
