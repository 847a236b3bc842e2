"""Leaks secrets in the way that a request names."""
