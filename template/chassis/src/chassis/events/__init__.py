"""Integration events to other services over NATS JetStream; needs the extra `nats`."""

from chassis.events._connection import nats
from chassis.events._integration_events import IntegrationEvent, announce, attributes_of

__all__ = ["IntegrationEvent", "announce", "attributes_of", "nats"]
