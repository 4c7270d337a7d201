"""Preprocessing steps, each with its inverse."""
