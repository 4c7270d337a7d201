"""Synthesis: a source and a bundle in, a synthetic volume on the source's own grid out, with its provenance."""
