"""The tools of development."""
