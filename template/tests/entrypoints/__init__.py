"""The ways to start the backend."""
