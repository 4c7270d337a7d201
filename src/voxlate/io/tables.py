"""Tab-separated tables: reading as text, and cells that people open in a spreadsheet program."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from voxlate.errors import InputRefused, NoInput
from voxlate.io.documents import MAX_TABLE_BYTES, InvalidDocument, read_text

# A cell that begins with one of these is run as a formula by spreadsheet programs (CSV injection, OWASP).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def inert_cell(text: str) -> str:
    """Returns text that a spreadsheet cannot run as a formula, with an apostrophe before a dangerous first letter."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def read_rows(
    path: Path, *, code: str, needed: Sequence[str] = (), synonyms: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """Reads a tab-separated table as one dictionary per row; a table may have no row.

    Args:
        path: UTF-8, with a heading.
        code: of the errors.
        needed: columns that must be there.
        synonyms: other names of columns, each with the name it is read as.

    Raises:
        NoInput: `NO_INPUT` when the table is missing.
        InputRefused: with `code`, when it cannot be read, lacks a column, has one twice (under a synonym too) or a row
            of another length.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: this table does not exist; check the path")
    try:
        text = read_text(path, max_bytes=MAX_TABLE_BYTES)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except (InvalidDocument, OSError, csv.Error) as error:
        raise InputRefused(code, f"{path.name}: {error}; write it as tab-separated UTF-8") from error
    heading = list(reader.fieldnames or [])
    names = [(synonyms or {}).get(name, name) for name in heading]
    absent = [name for name in needed if name not in names]
    if absent:
        raise InputRefused(code, f"{path.name}: column {', '.join(absent)} is missing; columns are separated by tabs")
    twice = [written for written, name in zip(heading, names, strict=True) if names.count(name) > 1]
    if twice:
        shown = ", ".join(dict.fromkeys(twice))
        raise InputRefused(code, f"{path.name}: column {shown} occurs twice; give each its own name")
    for line, row in rows:
        if None in row or None in row.values():
            raise InputRefused(code, f"{path.name}: line {line} has more or fewer fields than the heading")
    return [dict(zip(names, row.values(), strict=True)) for _, row in rows]
