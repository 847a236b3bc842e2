"""The modules as they are composed in the backend."""
