"""The inbox: a message's effects in our database happen once, however often its job runs."""

from uuid import UUID

from chassis.data import Connection

RECEIVE = "INSERT INTO chassis_inbox (message_id, handler) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING message_id"


async def received_first(connection: Connection, message_id: UUID, handler: str) -> bool:
    """Note in the handler's own transaction that it has the message; answer False when it had it before."""
    return await connection.fetchval(RECEIVE, message_id, handler) is not None
