"""Heads and spines as partial-volume maps, from formulas or from label maps."""
