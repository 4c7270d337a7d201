"""Figures of the reports, one per file."""
