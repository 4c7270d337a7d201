"""Building blocks that networks share, and the reader of weights."""
