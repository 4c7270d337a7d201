"""Cells of tables that people open in a spreadsheet."""

from __future__ import annotations

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def inert_cell(text: str) -> str:
    """Returns text that no spreadsheet takes for a formula: an apostrophe stands before what could start one."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
