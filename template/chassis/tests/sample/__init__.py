"""A small service to prove the chassis with."""
