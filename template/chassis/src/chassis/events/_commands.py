"""The command `events replay`: handle events of other services again."""

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from chassis.data import NOT_READY_ERRORS, open_database, reason_of
from chassis.ops import Commands, run
from chassis.settings import Settings, StartError, load

MAX_POSITION = 2**63 - 1

SINCE = "SELECT min(position) FROM chassis_received_events WHERE handler = $1 AND published_at >= $2"
# What was received from there on is forgotten, or it would be taken for a repetition.
REPLAY = """
    WITH forgotten AS (DELETE FROM chassis_received_events WHERE handler = $1 AND position >= $2)
    UPDATE chassis_subscriptions SET position = least(position, $2 - 1) WHERE handler = $1 RETURNING true
"""


class ReplayRefused(StartError):
    """The arguments are invalid, or there is nothing to replay."""


def add_commands(commands: Commands) -> None:
    """Add `events replay`."""
    events = commands.add_parser("events", help="replay events of other services")
    replay: ArgumentParser = events.add_subparsers(required=True, metavar="ACTION").add_parser(
        "replay", help="handle the events of a subscription again, as far as their stream still has them"
    )
    replay.add_argument("handler", help="handler of the subscription, for example payments.on_paid")
    start = replay.add_mutually_exclusive_group(required=True)
    start.add_argument("--since", metavar="TIME", help="events published since then: 2026-01-31T12:00 (UTC)")
    start.add_argument("--position", metavar="N", help="events from this sequence number of the stream on")
    replay.set_defaults(run=_run)


def _run(options: Namespace) -> None:
    run(_replay(options))


async def _replay(options: Namespace) -> None:
    try:
        async with open_database(load(Settings)) as database, database.transaction() as connection:
            position = _number(options.position) if options.position else None
            if options.since:
                position = await connection.fetchval(SINCE, options.handler, _time(options.since))
            if position is None or not await connection.fetchval(REPLAY, options.handler, position):
                raise ReplayRefused(f"{options.handler} has received no such event")
    except NOT_READY_ERRORS as error:
        raise ReplayRefused(
            f"the database is unavailable or not migrated: {reason_of(error.__cause__ or error)}"
        ) from error
    print(f"{options.handler} receives the events from position {position} on again.")  # noqa: T201  # to read


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0  # noqa: PLR2004  # as 2**63 has
    if not 1 <= number <= MAX_POSITION:
        raise ReplayRefused(f"--position is a number from 1 to {MAX_POSITION}, and not {text!r}")
    return number


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ReplayRefused(f"--since is a time as in 2026-01-31T12:00, and not {text!r}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
