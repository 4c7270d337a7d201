"""Heads and lumbar spines as partial-volume maps, from formulas or from label maps, and the values of their tissues."""
