"""The tables of the store of an index."""

from __future__ import annotations

import sqlite3

from voxlate.errors import UsageError

FORMAT = 2
"""Number of this form of the tables (`PRAGMA user_version`); a new one makes the next run read the archive anew."""

_CREATE = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, study TEXT NOT NULL, patient TEXT NOT NULL, name TEXT NOT NULL,
    first TEXT NOT NULL, header TEXT NOT NULL, stated TEXT NOT NULL, number TEXT NOT NULL, bare INTEGER NOT NULL,
    unclear INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_name ON series (patient, study, name);
CREATE INDEX IF NOT EXISTS by_number ON series (number, bare, stated);
CREATE TABLE IF NOT EXISTS files (
    folder INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, changed INTEGER NOT NULL,
    series INTEGER, state TEXT NOT NULL, instance INTEGER NOT NULL, frames INTEGER NOT NULL, round INTEGER NOT NULL,
    PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_series ON files (series, instance, frames);
CREATE TABLE IF NOT EXISTS identities (
    series INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (series, kind, value)) WITHOUT ROWID;
"""

# What a run reads from the archive again; `meta` holds the secret of the pseudonyms, and stays.
_DROP = "".join(f"DROP TABLE IF EXISTS {name};" for name in ("files", "series", "identities", "folders"))


def prepare_tables(connection: sqlite3.Connection, *, is_new: bool) -> None:
    """Creates the tables, and empties those of an earlier version of voxlate.

    Args:
        connection: of the store.
        is_new: it is open for writing.

    Raises:
        UsageError: `INDEX` when an earlier version made them and they are to be read only.
    """
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_empty and connection.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
        if not is_new:
            raise UsageError("INDEX", "the index was written by another version of voxlate; run voxlate index again")
        connection.executescript(_DROP)
    connection.executescript(f"{_CREATE} PRAGMA user_version = {FORMAT};")
