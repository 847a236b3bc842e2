"""A modular monolith: `bootstrap.py` is the place to start reading."""
