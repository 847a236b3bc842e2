"""What strangers send, over raw sockets, to the API as a process."""
