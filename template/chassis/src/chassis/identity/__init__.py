"""Who the caller is. `chassis.identity.oidc` and `chassis.identity.api_keys` are the ways to find out."""

from chassis.identity._principal import (
    Authenticate,
    Authentication,
    Principal,
    anyone,
    bearer,
    nobody,
)

__all__ = [
    "Authenticate",
    "Authentication",
    "Principal",
    "anyone",
    "bearer",
    "nobody",
]
