"""Lesions: which, where, how they look and how they enhance."""
