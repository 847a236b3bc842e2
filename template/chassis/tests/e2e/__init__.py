"""The API and the worker as real processes."""
