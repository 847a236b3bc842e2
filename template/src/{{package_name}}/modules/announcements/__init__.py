"""Announces to other services, over NATS, what happens to orders."""
