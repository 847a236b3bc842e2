"""One package per bounded context, each with the same file names."""
