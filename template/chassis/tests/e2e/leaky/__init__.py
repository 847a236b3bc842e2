"""A service that handles secrets carelessly, to prove that none of them is logged, traced, measured or reported."""
