"""A module whose jobs leave one row each time they are done, so that a doubled effect is seen."""
