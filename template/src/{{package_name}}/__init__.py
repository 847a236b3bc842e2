"""A modular monolith: `service.py` says what it is, `modules/` has what it does."""
