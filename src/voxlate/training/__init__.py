"""Training: a recipe and a table of cases in, a bundle out."""
