"""What the store of an index needs of SQLite: names as it keeps them, conditions, its errors and the lock.

A file name is stored as text, and as bytes where it is not valid UTF-8.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxlate.errors import CannotWrite, TemporaryFailure, os_failure
from voxlate.jobs.locking import lock

STORE = "index.sqlite"

# Texts of SQLite errors that another run may not meet again.
_TEMPORARY = ("full", "locked", "disk i/o", "busy")


def locked(path: Path) -> int:
    """Returns a handle that holds the lock of an index until it is closed or the process ends.

    Raises:
        TemporaryFailure: `LOCKED` when another run holds it.
    """
    try:
        return lock(path, mode=0o600)
    except BlockingIOError as error:
        raise TemporaryFailure("LOCKED", "another run writes this index; wait until it has ended") from error


def stored(name: str) -> str | bytes:
    """Returns a file name as SQLite stores it: as bytes when it is not valid UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def below(folder: str) -> tuple[str, tuple[str | bytes, ...]]:
    """Returns the SQL condition of a folder and all below it, and its values; `.` is the folder of the archive."""
    if folder == ".":
        return "1", ()
    # all that starts with the folder and a slash: in ASCII, 0 follows the slash; bytes are names that are not UTF-8
    first, end = f"{folder}/", f"{folder}0"
    condition = "path = ? OR (path >= ? AND path < ?) OR (path >= ? AND path < ?)"
    return condition, (stored(folder), stored(first), stored(end), os.fsencode(first), os.fsencode(end))


def loaded(name: str | bytes) -> str:
    """Returns the file name that SQLite stores as text or as bytes."""
    return os.fsdecode(name)


@contextmanager
def disk_errors(name: str) -> Iterator[None]:
    """Turns errors of SQLite and of the disk into errors of voxlate."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if any(word in str(error).lower() for word in _TEMPORARY):
            raise TemporaryFailure(
                "IO", f"{name}: {error}; what was read so far is stored, run voxlate index again"
            ) from error
        raise CannotWrite("WRITE", f"{name}: {error}; name another folder, or change its permissions") from error
    except sqlite3.DatabaseError as error:
        raise CannotWrite("INDEX", f"{name} is damaged ({error}); remove it and index again") from error
    except OSError as error:
        raise os_failure(error, name) from error
