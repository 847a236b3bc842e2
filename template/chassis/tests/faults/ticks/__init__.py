"""A module with a schedule."""
