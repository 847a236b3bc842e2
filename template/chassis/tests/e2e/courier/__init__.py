"""A module that tells another service of each note."""
