"""How leaks reacts to messages."""

import sys

import structlog

from chassis.errors import Unavailable
from chassis.jobs import Transaction, handle

from tests.e2e.leaky.modules.leaks.messages import Leak, Look, Miss

log = structlog.stdlib.get_logger(__name__)


async def fail(task: Leak, _transaction: Transaction) -> None:
    raise RuntimeError(f'no answer to {{"api_key": "{task.text}"}}')


async def miss(_task: Miss, _transaction: Transaction) -> None:
    raise Unavailable


async def look(_task: Look, _transaction: Transaction) -> None:
    log.info("looked", is_imported="sentry_sdk" in sys.modules)


HANDLERS = [handle(Leak, fail), handle(Miss, miss), handle(Look, look)]
