"""The database: connections, transactions, and their caller. `chassis.data.migration` applies revisions."""

from chassis.data._checks import check_database, check_listening, check_migrations
from chassis.data._database import (
    CONNECTION_ERRORS,
    NOT_READY_ERRORS,
    Caller,
    Database,
    TransactionConflict,
    open_database,
)
from chassis.data._outage import reason_of
from chassis.data._pool import Connection
from chassis.data._revisions import Revisions, revisions_in

__all__ = [
    "CONNECTION_ERRORS",
    "NOT_READY_ERRORS",
    "Caller",
    "Connection",
    "Database",
    "Revisions",
    "TransactionConflict",
    "check_database",
    "check_listening",
    "check_migrations",
    "open_database",
    "reason_of",
    "revisions_in",
]
