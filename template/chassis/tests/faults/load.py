"""Callers who send each request until it is answered, with the same key."""

import asyncio
from collections.abc import Iterable, Iterator
from http import HTTPStatus

from httpx import AsyncClient, TransportError

from tests.faults.ledger import Ledger

CALLERS = 8
# Far longer than a whole load takes.
MAX_SECONDS = 240
# What tells a caller to come again; anything else but a success is a fault.
AGAIN = {HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE}


async def take_notes(url: str, credential: dict[str, str], texts: Iterable[str], ledger: Ledger) -> None:
    """Take a note of each text, and note which were acknowledged."""
    left = iter(texts)
    client = AsyncClient(base_url=url, headers=credential, timeout=10)
    async with client, asyncio.timeout(MAX_SECONDS), asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_take(client, left, ledger))


async def _take(client: AsyncClient, texts: Iterator[str], ledger: Ledger) -> None:
    for text in texts:
        while not await _is_taken(client, text):
            await asyncio.sleep(0.1)
        ledger.acknowledged.add(text)


async def _is_taken(client: AsyncClient, text: str) -> bool:
    try:
        answer = await client.post("/v1/notes", json={"text": text}, headers={"Idempotency-Key": text})
    except TransportError:
        return False
    assert answer.status_code in {HTTPStatus.CREATED, *AGAIN}, answer.text
    return answer.status_code == HTTPStatus.CREATED
