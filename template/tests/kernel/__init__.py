"""The kernel's promises, proven on the sample module."""
