"""Dead letters on the command line: they are listed, shown, retried and discarded."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.data import Database
from chassis.jobs import Outbox
from chassis.settings import Settings
from chassis.testing import Drain

from tests.jobs.conftest import states
from tests.sample.modules.notes import handlers, service
from tests.sample.modules.notes.messages import Explode
from tests.sample.service import service as sample

type Jobs = Callable[..., Awaitable[str]]
type Refused = Callable[..., Awaitable[str]]

NEVER = 1_000


@pytest.fixture
def jobs(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Jobs:
    """Run `jobs` with these arguments and give what it prints; it has an event loop of its own."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)

    async def run(*arguments: str) -> str:
        capsys.readouterr()  # the worker's log
        await asyncio.to_thread(sample.main, ["jobs", *arguments])
        return capsys.readouterr().out.strip()

    return run


@pytest.fixture
def refused(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run `jobs` with arguments that are refused, and give the one line it says."""

    async def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            await jobs(*arguments)
        assert ended.value.code == 2
        printed = capsys.readouterr()
        [line] = printed.err.splitlines()
        assert printed.out == ""
        return line

    return run


async def listed(jobs: Jobs, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await jobs("list", "--json", *arguments))["jobs"]
    return found


async def explode(outbox: Outbox, note_id: UUID | None = None, **how: Any) -> Explode:  # noqa: ANN401  # as enqueue's
    task = Explode(note_id=note_id or uuid4(), times=NEVER)
    async with outbox.transaction() as transaction:
        await transaction.enqueue(task, **how)
    return task


async def fail(database: Database, outbox: Outbox, handler: str = "notes.explode", age: str = "0s") -> int:
    """Queue a job and make a dead letter of it, as old as it is said to be."""
    task = await explode(outbox)
    fail_one = """
        UPDATE chassis_jobs SET attempt = 3, handler = $2, dead_at = now() - $3::text::interval
        WHERE message_id = $1 RETURNING id
    """
    job_id: int = await database.fetchval(fail_one, task.id, handler, age)
    return job_id


async def test_a_dead_letter_is_listed_shown_and_done_once_when_its_cause_is_gone(
    outbox: Outbox, database: Database, drain: Drain, jobs: Jobs
) -> None:
    async with outbox.transaction() as transaction:
        note = await service.take(transaction, "alice", "remember the milk")
    task = await explode(outbox, note.id)
    await drain()
    [job] = await listed(jobs)
    assert (job["handler"], job["status"], job["attempt"], job["error"]) == (
        *("notes.explode", "dead", 3),
        "RuntimeError: boom",
    )
    shown = json.loads(await jobs("show", str(job["id"]), "--json"))
    assert shown["payload"] == {"id": str(task.id), "note_id": str(note.id), "times": NEVER}
    assert (shown["version"], shown["message_id"]) == (1, str(task.id))
    assert [each["attempt"] for each in shown["errors"]] == [1, 2, 3]
    assert "in explode" in shown["errors"][-1]["traceback"]
    handlers.runs[task.id] = NEVER  # what it failed of is mended
    assert await jobs("retry", str(job["id"])) == "1 retried.\nnotes.explode: 1"
    [waiting] = await listed(jobs, "--status", "queued")
    assert (waiting["id"], waiting["attempt"]) == (job["id"], 0)
    await drain()
    assert await listed(jobs, "--status", "all") == []
    assert handlers.runs[task.id] == NEVER + 1
    async with database.connection() as connection:
        assert (await service.get(connection, "alice", note.id)).counted == 2  # when it was taken, and now


async def test_people_see_columns_and_whole_tracebacks(outbox: Outbox, drain: Drain, jobs: Jobs) -> None:
    await explode(outbox)
    await drain()
    head, line = (await jobs("list")).splitlines()
    assert head.split() == ["ID", "HANDLER", "STATUS", "ATTEMPT", "AGE", "LAST", "ERROR"]
    assert line.endswith("RuntimeError: boom")
    for name in ("HANDLER", "STATUS", "ATTEMPT", "AGE", "LAST ERROR"):
        assert line[head.index(name) - 2 : head.index(name)] == "  "
    shown = await jobs("show", line.split()[0])
    assert "\nhandler       notes.explode\n" in shown
    assert 'raise RuntimeError("boom")' in shown


async def test_a_discarded_job_never_runs(outbox: Outbox, database: Database, drain: Drain, jobs: Jobs) -> None:
    job_id = await fail(database, outbox)
    other = await fail(database, outbox)
    assert json.loads(await jobs("discard", str(job_id), "--json")) == {"discarded": [job_id]}
    assert [job["id"] for job in await listed(jobs)] == [other]
    await drain()
    assert await states(database) == [("dead", 3)]


@pytest.mark.parametrize("action", ["retry", "discard"])
async def test_jobs_are_chosen_by_handler_and_by_age(
    outbox: Outbox, database: Database, jobs: Jobs, action: str
) -> None:
    old = await fail(database, outbox, age="3 hours")
    young = await fail(database, outbox, age="10 minutes")
    other = await fail(database, outbox, "notes.count", age="10 minutes")
    assert [job["id"] for job in await listed(jobs, "--older-than", "1h")] == [old]
    assert {job["id"] for job in await listed(jobs, "--newer-than", "90m")} == {young, other}
    of_handler = ("--handler", "notes.explode")
    assert [job["id"] for job in await listed(jobs, *of_handler, "--newer-than", "1d", "--older-than", "9s")] == [
        young,
        old,
    ]
    done = {"retry": "retried", "discard": "discarded"}[action]
    for chosen, ids in (
        (("--newer-than", "90m", *of_handler), [young]),
        (("--older-than", "1h"), [old]),
        (["--all"], [other]),
    ):
        assert json.loads(await jobs(action, "--json", *chosen)) == {done: ids}
    assert await jobs(action, "--all") == f"0 {done}."
    assert await jobs("list") == "No jobs found."


async def test_what_waits_or_runs_is_never_touched(outbox: Outbox, database: Database, jobs: Jobs) -> None:
    await explode(outbox)
    await database.execute("UPDATE chassis_jobs SET worker = gen_random_uuid()")
    await explode(outbox)
    state = "SELECT * FROM chassis_jobs ORDER BY id"
    before = await database.fetch(state)
    assert await jobs("retry", "--all") == "0 retried."
    assert await jobs("discard", "--older-than", "0s") == "0 discarded."
    assert await database.fetch(state) == before


async def test_one_id_that_is_not_failed_keeps_all_as_they_are(
    outbox: Outbox, database: Database, jobs: Jobs, refused: Refused
) -> None:
    job_id = await fail(database, outbox)
    await explode(outbox)
    waiting = (await listed(jobs, "--status", "queued"))[0]["id"]
    for action in ("retry", "discard"):
        assert (await refused(action, str(job_id), str(waiting), str(2**62))).endswith(f": {waiting}, {2**62}")
    assert [job["id"] for job in await listed(jobs)] == [job_id]


@pytest.mark.parametrize("action", ["retry", "discard"])
async def test_nothing_is_chosen_by_saying_nothing(
    outbox: Outbox, database: Database, jobs: Jobs, refused: Refused, action: str
) -> None:
    job_id = await fail(database, outbox)
    assert "select jobs" in await refused(action)
    assert [job["id"] for job in await listed(jobs)] == [job_id]


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["show", text]
            for text in ("0", "a", "1.5", "1_0", " 1", "٣", str(2**63), "9" * 5000, "1; DROP TABLE chassis_jobs", "")
        ),
        ["show", "4711"],
        ["retry", "1", str(2**63)],
        *(["list", f"--older-than={text}"] for text in ("1", "h", "1.5h", "-1h", "1y", "99999w", "1h1m", "")),
        *(["list", "--limit", text] for text in ("0", "10001", "x", "9" * 5000)),
        *(["discard", "--handler", text] for text in ("", "' OR true --", "a\udcff", "a\x1b[31m", "x" * 201)),
    ],
)
async def test_what_cannot_be_read_is_refused_in_one_visible_line(refused: Refused, arguments: list[str]) -> None:
    assert (await refused(*arguments)).isprintable()


async def test_no_more_is_shown_than_was_asked_for(outbox: Outbox, database: Database, jobs: Jobs) -> None:
    ids = [await fail(database, outbox, age=f"{age} minutes") for age in range(5)]
    assert (await jobs("list", "--limit", "2")).splitlines()[-1] == "... and 3 more"
    shown = json.loads(await jobs("list", "--limit", "2", "--json"))
    assert ([job["id"] for job in shown["jobs"]], shown["more"]) == (ids[:2], 3)


async def test_of_jobs_with_one_key_one_is_put_back(
    outbox: Outbox, database: Database, jobs: Jobs, refused: Refused
) -> None:
    for _ in range(2):
        await explode(outbox, key="a")
        await database.execute("UPDATE chassis_jobs SET dead_at = now()")
    first, second = sorted(job["id"] for job in await listed(jobs))
    assert json.loads(await jobs("retry", "--all", "--json")) == {"retried": [first]}
    assert "its key is in use" in await refused("retry", str(second))
    await database.execute("DELETE FROM chassis_jobs WHERE id = $1", first)
    assert await jobs("retry", str(second)) == "1 retried.\nnotes.explode: 1"


async def test_what_would_move_a_terminal_is_written_out(outbox: Outbox, database: Database, jobs: Jobs) -> None:
    job_id = await fail(database, outbox)
    await database.execute("UPDATE chassis_jobs SET payload = $1", b'{"a": "\\u009b2J"}')
    error = {"at": "", "attempt": 1, "type": "E", "message": "\x1b[2J\nx", "traceback": "\x1b[2J"}
    await database.execute("UPDATE chassis_jobs SET errors = $1", json.dumps([error]))
    for arguments in (["list"], ["show", str(job_id)]):
        printed = await jobs(*arguments)
        assert all(letter.isprintable() or letter == "\n" for letter in printed)
        assert "\\x1b[2J" in printed


@pytest.mark.parametrize("payload", [b"no json", b"\xff", b"[" * 100_000, b"[NaN]", b"9" * 5000, b'"\\ud800"', b""])
async def test_a_payload_that_is_no_json_is_shown_as_text(
    outbox: Outbox, database: Database, jobs: Jobs, payload: bytes
) -> None:
    job_id = await fail(database, outbox)
    await database.execute("UPDATE chassis_jobs SET payload = $1", payload)
    assert await jobs("show", str(job_id))
    shown = json.loads(await jobs("show", str(job_id), "--json"))
    assert shown["payload"] == payload.decode("utf-8", "backslashreplace")


async def test_a_database_that_is_away_or_empty_is_said_in_one_line(
    refused: Refused, empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("postgresql://postgres@127.0.0.1:1/none", empty.database_url):
        monkeypatch.setenv("DATABASE_URL", url)
        assert "the database is unavailable or not migrated" in await refused("list")


async def test_a_large_dead_letter_is_put_back_at_once(outbox: Outbox, database: Database, jobs: Jobs) -> None:
    await fail(database, outbox)
    more = """
        INSERT INTO chassis_jobs (
            handler, message_id, version, payload, priority, key, is_limited, is_waiting, due_at, run_at, dead_at,
            request_id, traceparent
        )
        SELECT 'notes.explode', gen_random_uuid(), 1, '', 0, n::text, false, false, now(), now(), now() - $1::interval,
            '', ''
        FROM generate_series(1, 20000) AS n
    """
    await database.execute(more, timedelta(hours=1))
    assert await jobs("retry", "--handler", "notes.explode") == "20001 retried.\nnotes.explode: 20001"
    assert await states(database) == [("queued", 0)] * 20_001
