"""Brain masks: finding and checking them."""
