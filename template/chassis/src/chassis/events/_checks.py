"""What `doctor` checks of NATS."""

from chassis.events._broker import NATS_ERRORS, connected, first_of
from chassis.events._kinds import subject_of
from chassis.events._settings import NatsSettings
from chassis.settings import StartError, load


class NatsUnavailable(StartError):
    """NATS is unavailable or does not fit; the message says why."""


async def check_nats(service: str) -> str:
    """Check that NATS answers, and that the events of this service fit its stream. Raises NatsUnavailable."""
    try:
        async with connected(load(NatsSettings), service) as broker:
            stream = await broker.find_stream(subject_of(f"{service}.>"))
    except (*NATS_ERRORS, BaseExceptionGroup) as error:
        first = first_of(error)
        raise NatsUnavailable(
            f"{str(first) or repr(first)}: check NATS_URL, and the permissions of its user"
        ) from error
    return f"stream {stream}" if stream else "no stream yet; the worker creates it with the first event"
