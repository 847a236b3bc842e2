"""The pytest plugin and the conventions."""
