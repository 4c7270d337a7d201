"""Blinded reader studies of real and synthetic volumes: creation, server and analysis."""
