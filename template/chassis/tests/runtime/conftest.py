"""An issuer and a server of NATS, as in the suites of their rooms."""

from tests.events.conftest import broker
from tests.identity.oidc.conftest import issuer, listening

__all__ = ["broker", "issuer", "listening"]
