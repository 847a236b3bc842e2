"""Tools of development; none of this is in the image."""
