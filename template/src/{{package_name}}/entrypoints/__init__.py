"""How the backend is started: as an API, as a worker, from the command line."""
