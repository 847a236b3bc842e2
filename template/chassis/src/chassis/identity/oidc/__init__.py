"""Authentication by OpenID Connect; needs the extra `oidc`."""

from chassis.identity.oidc._provider import oidc

__all__ = ["oidc"]
