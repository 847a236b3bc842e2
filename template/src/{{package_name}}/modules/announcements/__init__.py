"""Tells other services, over NATS, what became of an order."""
