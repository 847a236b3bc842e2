"""Records the payments of orders that another service, `billing`, receives."""
