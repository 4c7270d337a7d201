"""Blocks that several networks share, and the reading of weights."""
