"""Each way in which a service gives a secret away, by the name of the function."""

import logging
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Annotated

import structlog
from pydantic import BaseModel

from chassis.errors import Conflict
from chassis.events import announce
from chassis.http import Body, IdempotentTransaction, Router, Text, requires
from chassis.identity import Principal
from chassis.jobs import Transaction
from chassis.outbound import HttpClient
from chassis.settings import Settings, load

from tests.e2e.leaky.modules.leaks import settings
from tests.e2e.leaky.modules.leaks.messages import Leak, Leaked, Look, Miss

router = Router("/v1/leaks", tags=["leaks"])
log = structlog.stdlib.get_logger(__name__)
unreachable = HttpClient("unreachable", "http://127.0.0.1:1")

type Writer = Annotated[Principal, requires("leaks:write")]


async def log_fields(text: str, _transaction: Transaction) -> None:
    log.info("fields", password=text, user={"tokens": [text]}, headers=[("Cookie", text)])


async def log_settings(_text: str, _transaction: Transaction) -> None:
    log.info("settings", chassis=load(Settings), leaks=load(settings.Settings))


async def log_library(text: str, _transaction: Transaction) -> None:
    logging.getLogger("asyncpg").warning("refused %s", f"Bearer {text}")
    warnings.warn(f"https://{text}@example.org is old", stacklevel=1)


async def fail(text: str, _transaction: Transaction) -> None:
    raise RuntimeError(f"client_secret='{text}'") from ValueError(f"postgresql://shop:{text}@db/shop")


async def fail_in_statement(text: str, transaction: Transaction) -> None:
    await transaction.connection.fetchval("SELECT $1::text::int", text)


async def conflict(text: str, _transaction: Transaction) -> None:
    raise Conflict(f"https://example.org/?access_token={text} exists")


async def call(text: str, _transaction: Transaction) -> None:
    await unreachable.request("GET", f"/hooks/{text}?token={text}", headers={"Authorization": text})


async def enqueue(text: str, transaction: Transaction) -> None:
    await transaction.enqueue(Leak(text=text))


async def enqueue_unreadable(text: str, transaction: Transaction) -> None:
    await transaction.enqueue(Leak.model_construct(text=[text]))  # type: ignore[arg-type]  # on purpose


async def enqueue_outage(_text: str, transaction: Transaction) -> None:
    await transaction.enqueue(Miss())


async def announce_event(text: str, transaction: Transaction) -> None:
    await announce(transaction, Leaked(text=text))


async def look(_text: str, transaction: Transaction) -> None:
    log.info("looked", is_imported="sentry_sdk" in sys.modules)
    await transaction.enqueue(Look())


type Way = Callable[[str, Transaction], Awaitable[None]]
FOUND: list[Way] = [
    log_fields,
    log_settings,
    log_library,
    fail,
    fail_in_statement,
    conflict,
    call,
    enqueue,
    enqueue_outage,
    enqueue_unreadable,
    announce_event,
    look,
]
WAYS: dict[str, Way] = {way.__name__: way for way in FOUND}


class LeakText(Body):
    way: Text
    text: Text


class Done(BaseModel):
    way: str


@router.post("", summary="Leak a text", status_code=201)
async def leak(body: LeakText, _caller: Writer, transaction: IdempotentTransaction) -> Done:
    await WAYS[body.way](body.text, transaction)
    return Done(way=body.way)


@router.get("/{leak_id}", summary="Get nothing")
async def get(leak_id: int, _caller: Writer) -> Done:
    return Done(way=str(leak_id))
