"""The queue on the command line: `jobs list`, `show`, `retry` and `discard`."""

import json
import re
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from pydantic_core import from_json, to_jsonable_python

from chassis.data import NOT_READY_ERRORS, Connection, open_database, reason_of
from chassis.jobs import _dead_letters as dead_letters
from chassis.jobs._dead_letters import Acted, Listed, Selection
from chassis.ops import Commands
from chassis.ops import run as run_process
from chassis.settings import Settings, StartError, load

# An outage of an upstream service can leave a million dead letters; a command may take its time.
PATIENCE_SECONDS = 60
MAX_ID = 2**63 - 1
MAX_LISTED = 10_000
MAX_ERROR = 60
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

type Work = Callable[[Connection, Namespace], Awaitable[tuple[Any, str]]]
type Change = Callable[[Connection, Selection], Awaitable[Sequence[Acted]]]


class JobsRefused(StartError):
    """The arguments are invalid, or the job does not exist."""


def add_commands(commands: Commands) -> None:
    """Add `jobs list`, `jobs show`, `jobs retry` and `jobs discard`."""
    jobs = commands.add_parser("jobs", help="list jobs, and retry or discard dead letters").add_subparsers(
        required=True, metavar="ACTION"
    )
    listing = _add(jobs, "list", "list jobs, by default the dead letters", _list)
    listing.add_argument("--status", choices=["dead", "queued", "running", "all"], default="dead")
    listing.add_argument("--limit", default="50", metavar="N", help="maximum number to list; 50 by default")
    _add(jobs, "show", "show all fields of a job", _show).add_argument("id")
    retry = _add(jobs, "retry", "put dead letters back on the queue, with all their attempts", _acting("retried"))
    discard = _add(jobs, "discard", "delete dead letters", _acting("discarded"))
    for each in (retry, discard):
        each.add_argument("ids", nargs="*", metavar="id")
        each.add_argument("--all", action="store_true", help="every dead letter")
    for each in (listing, retry, discard):
        each.add_argument("--handler", metavar="NAME", help="only jobs of this handler, for example invoices.send")
        age = "dead letters since, other jobs created"
        each.add_argument("--older-than", metavar="AGE", help=f"only {age} before this time: 90s, 15m, 2h, 7d")
        each.add_argument("--newer-than", metavar="AGE", help=f"only {age} within this time")


def _add(commands: Commands, name: str, text: str, work: Work) -> ArgumentParser:
    parser = commands.add_parser(name, help=text)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")

    def run(options: Namespace) -> None:
        run_process(_run(work, options))

    parser.set_defaults(run=run)
    return parser


async def _run(work: Work, options: Namespace) -> None:
    settings = load(Settings).model_copy(update={"database_statement_timeout": PATIENCE_SECONDS})
    try:
        async with open_database(settings) as database, database.transaction() as connection:
            found, text = await work(connection, options)
    except NOT_READY_ERRORS as error:
        raise JobsRefused(
            f"the database is unavailable or not migrated: {reason_of(error.__cause__ or error)}"
        ) from error
    print(json.dumps(to_jsonable_python(found), indent=2) if options.json else _visible(text))  # noqa: T201  # to read


async def _list(connection: Connection, options: Namespace) -> tuple[Any, str]:
    status = None if options.status == "all" else options.status
    limit = _number(options.limit, "--limit", MAX_LISTED)
    jobs, count = await dead_letters.find(connection, _selection(options), status, limit)
    more = count - len(jobs)
    lines = (
        [*_columns([("ID", "HANDLER", "STATUS", "ATTEMPT", "AGE", "LAST ERROR"), *map(_line, jobs)])] if jobs else []
    )
    lines += [f"... and {more} more"] if more else []
    text = "\n".join(lines) or "No jobs found."
    return {"jobs": [asdict(job) | {"age": job.age.total_seconds()} for job in jobs], "more": more}, text


async def _show(connection: Connection, options: Namespace) -> tuple[Any, str]:
    job_id = _number(options.id, "a job's id", MAX_ID)
    job = await dead_letters.get(connection, job_id)
    if job is None:
        raise JobsRefused(f"there is no job {job_id}")
    job["payload"] = _payload(job["payload"])
    fields = {name: value for name, value in job.items() if name not in {"payload", "errors"}}
    payload = json.dumps(job["payload"], indent=2, ensure_ascii=False)
    errors = [
        f"{each['at']}  attempt {each['attempt']}\n{each['traceback'] or each['message']}" for each in job["errors"]
    ]
    lines = [*_columns([*to_jsonable_python(fields).items()]), "", "payload", payload, "", "errors", *errors]
    return job, "\n".join(lines)


def _acting(done: str) -> Work:
    change: Change = {"retried": dead_letters.retry, "discarded": dead_letters.discard}[done]

    async def act(connection: Connection, options: Namespace) -> tuple[Any, str]:
        selection = _selection(options)
        if selection == Selection() and not options.all:
            raise JobsRefused("select jobs: ids, --handler, --older-than, --newer-than or --all")
        jobs = await change(connection, selection)
        if refused := set(selection.ids or ()).difference(job.id for job in jobs):
            ids = ", ".join(map(str, sorted(refused)))
            raise JobsRefused(f"nothing is {done}: no such dead letter, or its key is in use: {ids}")
        handlers = Counter(job.handler for job in jobs)
        text = "".join(f"\n{handler}: {number}" for handler, number in sorted(handlers.items()))
        return {done: [job.id for job in jobs]}, f"{len(jobs)} {done}.{text}"

    return act


def _selection(options: Namespace) -> Selection:
    """Read what the arguments select. Raises JobsRefused."""
    if options.handler is not None and not re.fullmatch(r"[\w.]{1,200}", options.handler):
        raise JobsRefused(f"--handler is the name of a handler, for example invoices.send, and not {options.handler!r}")
    ids = [_number(text, "a job's id", MAX_ID) for text in getattr(options, "ids", ())]
    return Selection(ids or None, options.handler, _age(options.older_than), _age(options.newer_than))


def _number(text: str, name: str, largest: int) -> int:
    number = int(text) if re.fullmatch("[0-9]{1,19}", text) else 0
    if not 1 <= number <= largest:
        raise JobsRefused(f"{name} is a number from 1 to {largest}, and not {text!r}")
    return number


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = re.fullmatch("([0-9]{1,4})([smhdw])", text)
    if found is None:
        raise JobsRefused(f"an age is a number with a unit, as in 90s, 15m, 2h, 7d or 4w, and not {text!r}")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _line(job: Listed) -> Sequence[object]:
    seconds = int(job.age.total_seconds())
    sizes = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
    age = next((f"{seconds // size}{unit}" for size, unit in sizes if seconds >= size), "0s")
    error = " ".join(job.error.split())
    short = error if len(error) <= MAX_ERROR else f"{error[: MAX_ERROR - 3]}..."
    return job.id, job.handler, job.status, job.attempt, age, short


def _columns(rows: Sequence[Sequence[object]]) -> Sequence[str]:
    """Align the rows; the last column is as long as it is."""
    texts = [[str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts]


def _payload(payload: bytes) -> object:
    """Give the JSON that it is, or else its text."""
    try:
        return from_json(payload, allow_inf_nan=False)
    except ValueError:
        return payload.decode("utf-8", "backslashreplace")


def _visible(text: str) -> str:
    """Write out what would make a terminal do something: a message may come from anywhere."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)
