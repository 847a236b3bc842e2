"""Notes are taken, and counted by the worker: a small module to prove the chassis with."""
