"""Training: makes a bundle from a recipe and a table of cases."""
