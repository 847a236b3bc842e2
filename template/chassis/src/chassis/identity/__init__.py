"""Principals and authentication; `chassis.identity.oidc` and `chassis.identity.api_keys` are the methods."""

from chassis.identity._principal import (
    Authenticate,
    Authentication,
    Principal,
    allow_anonymous,
    bearer,
    refuse_everyone,
)

__all__ = ["Authenticate", "Authentication", "Principal", "allow_anonymous", "bearer", "refuse_everyone"]
