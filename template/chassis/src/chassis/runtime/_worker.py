"""The worker process: the handlers of all modules, and an operations port."""

from contextlib import nullcontext

from chassis.data import Revisions, open_database
from chassis.http import IDEMPOTENCY_KEYS, serving
from chassis.jobs import Worker, max_connections
from chassis.ops import Readiness, build, create_operations, measuring, stop_on_signals
from chassis.outbound import closing_clients
from chassis.runtime._definition import ServiceDefinition, describe
from chassis.runtime._modules import handlers_of, schedules_of, subscriptions_of
from chassis.settings import Settings


async def serve(service: ServiceDefinition, settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then finish the running jobs."""
    stop = stop_on_signals()
    built = build(service.name, settings)
    modules, events = service.modules, service.events
    subscriptions = subscriptions_of(modules)
    # One leads, one publishes, and one receives for each subscription.
    connections = max_connections(settings, beside=2 + len(subscriptions) if events else 0)
    async with (
        service.recording("worker"),
        open_database(settings, connections) as database,
        measuring(built),
        closing_clients(),
        events.open(service.name, database, subscriptions) if events else nullcontext() as beside,
    ):
        database.watch()
        worker = Worker(
            database,
            handlers_of(modules),
            settings,
            stop,
            schedules=schedules_of(modules),
            retention=(IDEMPOTENCY_KEYS, *(events.retention if events else ())),
            beside=beside,
        )
        migrations = Revisions(database, service.migrations)
        checks = {"database": database.ready, "migrations": migrations.are_applied, "worker": worker.ready}
        about = describe(service.name, "worker", built)
        operations = create_operations(Readiness(stop, checks).failing, about, worker.ended)
        internal = (settings.operations_host, settings.worker_operations_port)
        async with serving(operations, internal, 1, ("OPERATIONS_HOST", "WORKER_OPERATIONS_PORT")):
            await worker.run()
