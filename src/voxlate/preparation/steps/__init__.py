"""Single preparation steps, each with its inverse."""
