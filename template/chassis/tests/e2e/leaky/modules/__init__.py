"""The modules of the leaky service."""
