"""Events on their way out: written in the transaction that caused them, or not at all."""

from uuid_utils.compat import uuid7

from chassis.events._kinds import IntegrationEvent
from chassis.jobs import Transaction

# A message of NATS has at most 1 MiB by default, headers included.
MAX_BYTES = 900_000

INSERT = """
    INSERT INTO chassis_outbox (event_id, kind, key, payload, request_id, traceparent) VALUES ($1, $2, $3, $4, $5, $6)
"""


async def announce(transaction: Transaction, event: IntegrationEvent) -> None:
    """Publish an event to other services once the transaction has committed.

    Raises ValueError for an event of more than 900,000 bytes.
    """
    payload = event.model_dump_json().encode()
    if len(payload) > MAX_BYTES:
        raise ValueError(f"{event.kind} has {len(payload)} bytes, and an event has at most {MAX_BYTES}")
    caller = transaction.caller
    await transaction.connection.execute(
        INSERT, uuid7(), event.kind, event.ordering_key, payload, caller.request_id, caller.traceparent
    )
    transaction.has_news = True
