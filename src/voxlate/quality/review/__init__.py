"""Review of quality grades in the browser."""
