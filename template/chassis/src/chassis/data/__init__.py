"""The database: connections, transactions, and their caller. `chassis.data.migration` applies revisions."""

from chassis.data._database import (
    CONNECTION_ERRORS,
    NOT_READY_ERRORS,
    Caller,
    Connection,
    Database,
    TransactionConflict,
    open_database,
)

__all__ = [
    "CONNECTION_ERRORS",
    "NOT_READY_ERRORS",
    "Caller",
    "Connection",
    "Database",
    "TransactionConflict",
    "open_database",
]
