"""The worker process: the handlers of all modules, and an operations port."""

from chassis.data import open_database
from chassis.http import serving
from chassis.jobs import max_connections, work
from chassis.ops import configure_logs, create_operations, stop_on_signals
from chassis.outbound import closing_clients
from chassis.runtime._definition import ServiceDefinition
from chassis.runtime._modules import handlers_of, schedules_of
from chassis.settings import Settings


async def serve(service: ServiceDefinition, settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then finish the running jobs."""
    configure_logs(settings)
    stop = stop_on_signals()
    publisher = service.events.publisher(service.name) if service.events else None
    handlers, schedules = handlers_of(service.modules), schedules_of(service.modules)
    async with open_database(settings, max_connections(settings)) as database, closing_clients():

        async def is_ready() -> bool:
            return not stop.is_set() and await database.ready()

        operations = (settings.operations_host, settings.worker_operations_port)
        async with serving(create_operations(is_ready), operations, 1, ("OPERATIONS_HOST", "WORKER_OPERATIONS_PORT")):
            await work(database, handlers, settings, stop, schedules=schedules, publisher=publisher)
