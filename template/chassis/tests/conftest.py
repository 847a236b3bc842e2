"""The fixtures are the chassis's own, over the sample service."""

pytest_plugins = ["chassis.testing"]
