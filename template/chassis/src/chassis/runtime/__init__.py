"""The composition root: what a service is, its modules, its processes and its command line."""

from chassis.runtime._modules import Module, ModuleError, handlers_of, load_module, schedules_of, subscriptions_of
from chassis.runtime._service import Service

__all__ = ["Module", "ModuleError", "Service", "handlers_of", "load_module", "schedules_of", "subscriptions_of"]
