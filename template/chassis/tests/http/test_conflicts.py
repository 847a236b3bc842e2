"""Two transactions in each other's way: one goes first, the other runs again, a few times at most."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
import pytest
from fastapi import Body
from httpx import AsyncClient

from chassis.data import Database
from chassis.http import IdempotentTransaction, Public, Router, Writing, _router, connect
from chassis.jobs import Outbox, Transaction, handle
from chassis.settings import Settings
from chassis.testing import client_of, drain_queue

from tests.http.applications import application_of
from tests.sample.modules.notes import persistence
from tests.sample.modules.notes.domain import Note
from tests.sample.modules.notes.messages import NoteTaken

type Give = Callable[[Router], AsyncClient]
type Swap = Annotated[list[UUID], Body()]


@pytest.fixture
def give(database: Database, outbox: Outbox) -> Give:
    """Give a client of an API with this router."""

    def make(router: Router) -> AsyncClient:
        api = application_of(router)
        connect(api, database, outbox)
        return client_of(api)

    return make


async def notes(database: Database) -> list[UUID]:
    made = [Note(uuid4(), "alice", "contended"), Note(uuid4(), "alice", "contended")]
    async with database.transaction() as connection:
        for note in made:
            await persistence.add(connection, note, None)
    return [note.id for note in made]


async def counted(database: Database) -> list[int]:
    return [row["counted"] for row in await database.fetch("SELECT counted FROM notes")]


async def count_crosswise(transaction: Transaction, ids: Sequence[UUID], together: asyncio.Barrier, run: int) -> None:
    """Lock the notes in the order given, the first run only when the other request has its first as well."""
    await persistence.count(transaction.connection, ids[0])
    if run <= together.parties:
        await together.wait()
    await persistence.count(transaction.connection, ids[1])


async def test_of_two_requests_that_deadlock_both_succeed(database: Database, give: Give) -> None:
    runs, together = Counter[str](), asyncio.Barrier(2)
    router = Router("/v1/swap", tags=["swap"])

    @router.post("")
    async def swap(_caller: Public, ids: Swap, transaction: Writing) -> int:
        runs["swap"] += 1
        await count_crosswise(transaction, ids, together, runs["swap"])
        return runs["swap"]

    ids = await notes(database)
    async with give(router) as client:
        bodies = ([*map(str, ids)], [*map(str, reversed(ids))])
        answers = await asyncio.gather(*(client.post("/v1/swap", json=body) for body in bodies))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert runs["swap"] == 3
    assert await counted(database) == [2, 2]


async def test_a_key_is_claimed_anew_by_the_run_that_succeeds(database: Database, give: Give) -> None:
    runs = Counter[str]()
    router = Router("/v1/once", tags=["once"])

    @router.post("", status_code=201)
    async def create(_caller: Public, transaction: IdempotentTransaction) -> int:
        runs["once"] += 1
        await persistence.add(transaction.connection, Note(uuid4(), "alice", "once"), None)
        if runs["once"] == 1:
            raise asyncpg.SerializationError
        return runs["once"]

    async with give(router) as client:
        answers = [await client.post("/v1/once", headers={"idempotency-key": "1"}) for _ in range(2)]
    assert [(answer.status_code, answer.text) for answer in answers] == [(201, "2")] * 2
    assert len(await counted(database)) == 1


async def test_what_conflicts_each_time_is_unavailable(
    database: Database, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_router, "PAUSE_SECONDS", 0)
    count = Counter[str]()
    router = Router("/v1/never", tags=["never"])

    @router.post("")
    async def never(_caller: Public, transaction: Writing) -> None:
        count["never"] += 1
        await persistence.add(transaction.connection, Note(uuid4(), "alice", "lost"), None)
        raise asyncpg.SerializationError

    async with give(router) as client:
        answer = await client.post("/v1/never")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["title"] == "Transaction conflict"
    assert count["never"] == _router.ATTEMPTS
    assert await counted(database) == []


async def test_files_that_were_read_are_not_read_again(give: Give) -> None:
    count = Counter[str]()
    router = Router("/v1/files", tags=["files"])

    @router.post("")
    async def upload(_caller: Public, transaction: Writing) -> None:
        count["files"] += 1
        assert transaction
        raise asyncpg.SerializationError

    async with give(router) as client:
        answer = await client.post("/v1/files", files={"file": b"content"})
    assert (answer.status_code, count["files"]) == (503, 1)


async def test_a_conflict_at_the_commit_is_no_success_and_runs_again(
    database: Database, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction fails as that of a COMMIT may, after the answer is made."""
    transaction_of, commits = Database.transaction, Counter[str]()

    @asynccontextmanager
    async def failing_once(self: Database):  # type: ignore[no-untyped-def]  # noqa: ANN202  # as what it stands for
        async with transaction_of(self) as connection:
            yield connection
            commits["tried"] += 1
            if commits["tried"] == 1:
                await connection.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    monkeypatch.setattr(Database, "transaction", failing_once)
    router = Router("/v1/late", tags=["late"])

    @router.post("", status_code=201)
    async def late(_caller: Public, transaction: Writing) -> None:
        await persistence.add(transaction.connection, Note(uuid4(), "alice", "late"), None)

    async with give(router) as client:
        assert (await client.post("/v1/late")).status_code == 201
    assert commits["tried"] == 2
    assert len(await counted(database)) == 1


async def test_jobs_that_deadlock_are_all_done(database: Database, settings: Settings) -> None:
    runs, together, ids = Counter[str](), asyncio.Barrier(2), await notes(database)

    async def count(taken: NoteTaken, transaction: Transaction) -> None:
        runs["job"] += 1
        other = ids[1] if taken.note_id == ids[0] else ids[0]
        await count_crosswise(transaction, [taken.note_id, other], together, runs["job"])

    handlers = [handle(NoteTaken, count)]
    async with Outbox(database, handlers).transaction() as transaction:
        await transaction.publish(*(NoteTaken(note_id=note_id) for note_id in ids))
    await drain_queue(database, handlers, settings)
    assert runs["job"] == 3
    assert await counted(database) == [2, 2]
