"""Faults of a backend: kills, freezes, restarts, cut and slow connections; a ledger says that nothing was lost.

`just faults` runs it at full length and prints a table; `just test` has a short version of each.
"""
