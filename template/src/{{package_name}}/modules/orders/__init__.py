"""Orders are placed, then confirmed by the worker, or cancelled before that."""
