"""The tests of the service; they mirror the source."""
