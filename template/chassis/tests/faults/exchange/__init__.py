"""A module that subscribes to the events of its own service, so that they leave and come back."""
