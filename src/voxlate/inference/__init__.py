"""Inference: maps a source scan and a bundle to a synthetic volume on the grid of the source, with its provenance."""
