"""Jobs that NATS carries."""
