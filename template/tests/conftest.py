"""The fixtures are those of the chassis: `client`, `database`, `drain`, `outbox`, `start` and others."""

pytest_plugins = ["chassis.testing"]
