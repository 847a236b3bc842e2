"""The runtime of a backend service, maintained by its template; see `docs/updating.md` in the service."""
