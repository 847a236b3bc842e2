"""A pytest plugin: a real database, the API in process, the worker until it is idle, the real processes.

A service's `tests/conftest.py` names it: `pytest_plugins = ["chassis.testing"]`. It imports the service in its fixtures
only, or the coverage of what is imported before would not be measured. `chassis.testing.conventions` has the tests that
hold a service to the conventions of its chassis.
"""

import pytest

pytest.register_assert_rewrite("chassis.testing._processes", "chassis.testing.conventions")

from chassis.testing._databases import execute  # noqa: E402
from chassis.testing._fixtures import (  # noqa: E402  # after the rewrite is registered
    announced,
    anyio_backend,
    api,
    client,
    client_of,
    database,
    drain,
    drain_queue,
    empty,
    outbox,
    plan_of,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_configure_node,
    pytest_unconfigure,
    receive,
    server,
    service,
    settings,
    statements,
    stranger,
    worker_database,
)
from chassis.testing._processes import Backend, Running, Start, credential, environment_of, free_ports, start  # noqa: E402
from chassis.testing._remotes import BUSY, OK, Remote, Respond, answers, remote  # noqa: E402
from chassis.testing._types import Announced, Drain, PlanOf, Receive  # noqa: E402

__all__ = [
    "BUSY",
    "OK",
    "Announced",
    "Backend",
    "Drain",
    "PlanOf",
    "Receive",
    "Remote",
    "Respond",
    "Running",
    "Start",
    "announced",
    "answers",
    "anyio_backend",
    "api",
    "client",
    "client_of",
    "credential",
    "database",
    "drain",
    "drain_queue",
    "empty",
    "environment_of",
    "execute",
    "free_ports",
    "outbox",
    "plan_of",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_unconfigure",
    "receive",
    "remote",
    "server",
    "service",
    "settings",
    "start",
    "statements",
    "stranger",
    "worker_database",
]
