"""What the recipes do."""
