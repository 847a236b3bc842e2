"""The sample service, which takes notes: the suite proves the chassis with it."""

from chassis.events import nats
from chassis.identity.oidc import oidc
from chassis.runtime import Service

service = Service(
    "sample", title="Sample", description="A service that takes notes.", auth=oidc, events=nats, package="tests.sample"
)
