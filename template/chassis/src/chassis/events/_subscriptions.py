"""Subscriptions to events of other services, whose handlers run as jobs."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid5

from chassis.events._kinds import TYPE, KindInvalid
from chassis.jobs import Handler, Job, Payload, Subscription, Transaction

# An event is identified by its source and its id (CloudEvents 1.0, section 3.1).
NAMESPACE = UUID("6f9c1b1e-3c0e-5d3b-9f0e-6d2a3c1b7e55")


class ExternalEvent(Payload):
    """An event of another service, with the fields that this one reads; others are ignored.

    An `ordering_key` lets a handler's events with the same key be handled in the order of their stream.
    """


def subscribe[E: ExternalEvent](
    event_type: str,
    event: type[E],
    function: Callable[[E, Transaction], Awaitable[None]],
    *,
    name: str | None = None,
) -> Subscription:
    """Let a function handle the events of a type, for the SUBSCRIPTIONS list of a module's `handlers`.

    `event_type` is the CloudEvents type, which begins with the name of the service: `billing.invoices.paid.v1`. Each
    event becomes a job, whose effects in the database happen once. A function that was renamed or moved needs the
    `name` that it had before: a new name receives all events of the stream again. Raises KindInvalid.
    """
    return _subscription(event_type, Handler(event, function, given_name=name))


def subscribe_without_transaction[E: ExternalEvent](
    event_type: str, event: type[E], function: Callable[[E, Job], Awaitable[None]], *, name: str | None = None
) -> Subscription:
    """Let a function that calls others handle the events of a type; see `chassis.jobs.handle_without_transaction`."""
    return _subscription(event_type, Handler(event, function, without_transaction=True, given_name=name))


def _subscription(event_type: str, handler: Handler) -> Subscription:
    if not TYPE.fullmatch(event_type):
        raise KindInvalid(f"{handler.name} subscribes to {event_type!r}: write a type as in `billing.invoices.paid.v1`")
    return Subscription(event_type, handler)


def message_id_of(source: str, event_id: str) -> UUID:
    """Return the id of the jobs of an event, the same whenever it comes."""
    return uuid5(NAMESPACE, f"{source} {event_id}".encode(errors="surrogatepass"))
