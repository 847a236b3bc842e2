"""Hostile requests, over raw sockets, to the API as a process."""
