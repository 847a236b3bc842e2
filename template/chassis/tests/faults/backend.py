"""The processes of a service with the modules of this suite: `python -m tests.faults.backend worker`.

FAULTS_MODULES names those besides the sample's, with commas; FAULTS_SHIFT is how many seconds the clock is wrong.
"""

import os
from datetime import UTC, datetime, timedelta

import time_machine

from chassis.events import nats
from chassis.identity.oidc import oidc
from chassis.runtime import Service

ADDED = filter(None, os.environ.get("FAULTS_MODULES", "").split(","))

service = Service(
    "sample",
    title="Sample",
    description="A service that takes notes.",
    auth=oidc,
    events=nats,
    package="tests.sample",
    only=["tests.sample.modules.notes", *ADDED],
)

if __name__ == "__main__":
    if shift := float(os.environ.get("FAULTS_SHIFT", "0")):
        time_machine.travel(datetime.now(UTC) + timedelta(seconds=shift)).start()
    service.main()
