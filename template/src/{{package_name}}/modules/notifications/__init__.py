"""Records what customers are to be told when something happens to their order, and has a webhook tell them."""
