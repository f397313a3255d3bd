"""Tools that work without a network, and what opens them."""
