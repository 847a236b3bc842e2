"""The conventions that the chassis holds a service to; each test says what it wants when it fails."""

from chassis.testing.conventions import *  # noqa: F403  # with those that a later release adds
