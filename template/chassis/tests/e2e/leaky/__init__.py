"""A service that gives secrets away in every way that a careless one does, to prove that they reach nobody."""
