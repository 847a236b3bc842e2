"""The recipes of a service's justfile; none of this is in the image."""
