"""Fills the development database: `async def seed(transaction)` in the file `seeds` of a module."""

import importlib
from importlib.util import find_spec

from chassis.data import open_database
from chassis.dev.project import service
from chassis.jobs import Outbox
from chassis.runtime import handlers_of
from chassis.settings import Settings, load


async def plant() -> list[str]:
    """Run the seeds of each module in a transaction of its own, and name the modules that have some."""
    modules = [module for module in service().modules if find_spec(f"{module.package}.seeds")]
    async with open_database(load(Settings)) as database:
        outbox = Outbox(database, handlers_of(service().modules))
        for module in modules:
            async with outbox.transaction() as transaction:
                await importlib.import_module(f"{module.package}.seeds").seed(transaction)
    return [module.name for module in modules]
