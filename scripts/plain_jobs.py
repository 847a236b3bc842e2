"""The references of `bench_jobs.py`: what its jobs cost on plain asyncpg, without the guarantees of the queue.

Runs in the environment of the chassis. Each client holds one connection, so that no reference pays for a pool.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

import asyncpg
from chassis.ops import run
from uuid_utils.compat import uuid7

# No command takes longer.
PATIENCE = 120

# The columns, indexes and storage parameters of the queue's table.
TABLES = """
    CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, message_id uuid NOT NULL, text text);
    CREATE TABLE plain_jobs (LIKE chassis_jobs INCLUDING ALL);
    DO $$ BEGIN
        EXECUTE (
            SELECT 'ALTER TABLE plain_jobs SET (' || array_to_string(reloptions, ', ') || ')'
            FROM pg_class WHERE oid = 'chassis_jobs'::regclass AND reloptions IS NOT NULL
        );
    END $$
"""
# It gives the tables new files, so that no measurement has the dead rows of the one before.
EMPTY = "TRUNCATE chassis_jobs, plain_jobs, effects"
LEFT = "SELECT (SELECT count(*) FROM chassis_jobs), (SELECT count(*) FROM plain_jobs), (SELECT count(*) FROM effects)"

INSERT = """
    INSERT INTO plain_jobs (
        handler, message_id, version, payload, priority, is_limited, key, ordering_key, is_waiting,
        due_at, run_at, request_id, traceparent
    )
    VALUES ('scripts.write_effect', $1, 1, $2, 0, false, NULL, NULL, false, now(), now(), '', '')
"""
CLAIM = """
    UPDATE plain_jobs SET worker = $1, claim = claim + 1, run_at = now() + interval '10 seconds', attempt = attempt + 1
    WHERE id = (
        SELECT id FROM plain_jobs
        WHERE worker IS NULL AND dead_at IS NULL AND NOT is_waiting AND NOT is_limited AND priority = 0
            AND run_at <= now()
        ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, message_id, payload
"""
EFFECT = "INSERT INTO effects (message_id, text) VALUES ($1, 'done')"
DELETE = "DELETE FROM plain_jobs WHERE id = $1"

WORKER = uuid4()

type Client = asyncpg.Connection[asyncpg.Record]
type Step = Callable[[Client], Awaitable[object]]


async def answer(commands: Mapping[str, Callable[..., Awaitable[object]]]) -> None:
    """Read a command with its arguments from each line, and write what it returns, until the input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, arguments = json.loads(line)
        async with asyncio.timeout(PATIENCE):
            print(json.dumps(await commands[name](**arguments)), flush=True)


def columns() -> tuple[object, ...]:
    """Make what differs between two jobs: the id of the message and the payload."""
    message_id = uuid7()
    return message_id, json.dumps({"id": str(message_id)}).encode()


async def insert(client: Client) -> None:
    async with client.transaction():
        await client.execute(INSERT, *columns())


async def claim_and_run(client: Client) -> None:
    async with client.transaction():
        row = await client.fetchrow(CLAIM, WORKER)
        if row is None:
            raise RuntimeError("no job was found")
        await client.execute(EFFECT, row["message_id"])
        await client.execute(DELETE, row["id"])


async def write_effect(client: Client) -> None:
    async with client.transaction():
        await client.execute(EFFECT, uuid7())


async def rate_of(step: Step, clients: list[Client], count: int) -> float:
    """Let the clients take so many steps, and return how many they took in a second."""
    left = iter(range(count))

    async def repeat(client: Client) -> None:
        for _ in left:
            await step(client)

    started = time.perf_counter()
    await asyncio.gather(*map(repeat, clients))
    return count / (time.perf_counter() - started)


class Reference:
    """The commands; each rate is a number in a second."""

    def __init__(self, clients: list[Client]) -> None:
        self._clients = clients
        self._client = clients[0]

    async def prepare(self) -> None:
        """Create the tables, beside that of the queue."""
        await self._client.execute(TABLES)

    async def empty(self) -> None:
        await self._client.execute(EMPTY)

    async def left(self) -> list[int]:
        """Count the jobs on the queue, those of the reference, and the effects."""
        [row] = await self._client.fetch(LEFT)
        return [*row]

    async def checkpoint(self) -> None:
        await self._client.execute("CHECKPOINT")

    async def wal(self) -> int:
        """Return the position in the write-ahead log, in bytes."""
        return int(await self._client.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'"))

    async def fill(self, count: int) -> None:
        async with self._client.transaction():
            await self._client.executemany(INSERT, [columns() for _ in range(count)])

    async def delete(self, count: int) -> float:
        ids = iter([row["id"] for row in await self._client.fetch("SELECT id FROM plain_jobs ORDER BY id")])
        return await rate_of(lambda client: client.execute(DELETE, next(ids)), self._clients, count)

    async def run(self, count: int) -> float:
        return await rate_of(claim_and_run, self._clients, count)

    async def enqueue(self, count: int, clients: int) -> float:
        return await rate_of(insert, self._clients[:clients], count)

    async def write_effects(self, count: int) -> float:
        return await rate_of(write_effect, self._clients, count)


async def serve() -> None:
    clients = [await asyncpg.connect(os.environ["DATABASE_URL"]) for _ in range(int(os.environ["WORKER_CONCURRENCY"]))]
    reference = Reference(clients)
    names = ("prepare", "empty", "left", "checkpoint", "wal", "fill", "delete", "run", "enqueue", "write_effects")
    await answer({name: getattr(reference, name) for name in names})
    for client in clients:
        await client.close()


def main() -> None:
    run(serve())
