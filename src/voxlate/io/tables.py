"""Cells of tables that people open in a spreadsheet program."""

from __future__ import annotations

# A cell that begins with one of these is run as a formula by spreadsheet programs (CSV injection, OWASP).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def inert_cell(text: str) -> str:
    """Returns text that a spreadsheet cannot run as a formula, with an apostrophe before a dangerous first letter."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
