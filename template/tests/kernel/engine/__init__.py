"""The engines that carry jobs: each keeps the same."""
