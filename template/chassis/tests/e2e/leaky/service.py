"""The leaky service, with the sample's module beside its own, so that both have the same migrations."""

from chassis.events import nats
from chassis.identity.oidc import oidc
from chassis.runtime import Service

service = Service(
    "sample",
    title="Leaky",
    description="A service that gives secrets away.",
    auth=oidc,
    events=nats,
    package="tests.e2e.leaky",
    only=["tests.sample.modules.notes", "tests.e2e.leaky.modules.leaks"],
)
