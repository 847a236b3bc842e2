"""Integration events to and from other services over NATS JetStream; needs the extra `nats`."""

from pathlib import Path

from chassis.events._checks import check_nats
from chassis.events._commands import add_commands
from chassis.events._exchange import exchange
from chassis.events._kinds import IntegrationEvent, attributes_of, subject_of
from chassis.events._outbox import announce
from chassis.events._receipts import RECEIVED_EVENTS
from chassis.events._settings import NatsSettings
from chassis.events._subscriptions import ExternalEvent, subscribe, subscribe_without_transaction
from chassis.jobs import Transport

nats = Transport(
    settings=(NatsSettings,),
    migrations={"chassis_events": Path(__file__).parent / "migrations"},
    retention=(RECEIVED_EVENTS,),
    open=exchange,
    add_commands=add_commands,
    checks={"nats": check_nats},
)

__all__ = [
    "ExternalEvent",
    "IntegrationEvent",
    "announce",
    "attributes_of",
    "nats",
    "subject_of",
    "subscribe",
    "subscribe_without_transaction",
]
