"""Small documents (JSON, YAML, lists) read within bounds: a regular file, of at most 8 MiB, that is what it says.

A pipe would wait for its writer, a device has no end, and text nested a hundred thousand deep ends the interpreter.
Whatever is wrong with a document is an `Unsound`, a `ValueError`; that it is not there is a `FileNotFoundError`.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

MAX_TEXT_BYTES = 8 << 20
"""Of one document. The largest that voxlate writes, an evaluation of 1,000 cases, has some 4 MiB."""

MAX_TABLE_BYTES = 1 << 30
"""Of a table with one row a case, which is read row by row or grows with what was asked for: a million rows fit."""


class Unsound(ValueError):
    """A document cannot be used; the message says why and does not name the file."""


def read_bounded(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Returns the bytes of a regular file.

    Raises:
        FileNotFoundError: it is not there.
        OSError: it cannot be read.
        Unsound: it is a folder, a pipe or a device, or has more than `max_bytes`.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Unsound("no regular file")
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise Unsound(f"more than {max_bytes >> 20} MiB")
    return content


def read_text(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Returns UTF-8 text, without a byte order mark.

    Raises:
        OSError, Unsound: see `read_bounded`; `Unsound` also when it is not UTF-8.
    """
    try:
        return read_bounded(path, max_bytes=max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unsound(f"not UTF-8 at byte {error.start}") from error


def read_json(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """Returns what a JSON file holds.

    Raises:
        OSError, Unsound: see `read_text`; `Unsound` also for what is no JSON, with line and column.
    """
    return parse_json(read_text(path, max_bytes=max_bytes))


def parse_json(text: str) -> Any:
    """Returns what JSON text holds; raises `Unsound`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Unsound(f"no JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise Unsound("nested too deeply") from error


def canonical_json(content: object) -> str:
    """Returns JSON in a unique form, for hashes: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_yaml(text: str) -> Any:
    """Returns what YAML text holds, of plain types alone; raises `Unsound`."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unsound(f"not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise Unsound("nested too deeply") from error
    except (
        ValueError,
        AttributeError,
        TypeError,
        OverflowError,
    ) as error:  # a date of month 13, a tag on the wrong type
        raise Unsound(f"not YAML: {error}") from error
