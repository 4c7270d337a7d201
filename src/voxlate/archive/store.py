"""What is known of an archive while it is read: SQLite, one transaction for each bite, so that a kill loses one bite.

The store holds paths and identifiers as they are and never leaves the site; the table made from it holds neither.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxlate.archive.pseudonyms import pseudonym
from voxlate.errors import CannotWrite, TemporaryFailure, UsageError
from voxlate.io.site_key import site_key
from voxlate.jobs.locking import lock

STORE = "index.sqlite"
LOCK = "index.lock"
BUSY_S = 10.0
"""How long a run waits for another that holds the store."""

_CREATE = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, study TEXT NOT NULL, patient TEXT NOT NULL, name TEXT NOT NULL,
    first TEXT NOT NULL, header TEXT NOT NULL, frames INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_name ON series (patient, study, name);
CREATE TABLE IF NOT EXISTS files (
    folder INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, changed INTEGER NOT NULL,
    series INTEGER, state TEXT NOT NULL, round INTEGER NOT NULL, PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_series ON files (series);
CREATE TABLE IF NOT EXISTS identities (
    series INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (series, kind, value)) WITHOUT ROWID;
"""
_TEMPORARY = ("full", "locked", "disk i/o", "busy")


@dataclass(frozen=True)
class FileFact:
    """One file: its name, size, time of change in ns, its series (empty for none), and `read`, `stranger` or a code."""

    name: str
    size: int
    changed: int
    uid: str
    state: str


@dataclass(frozen=True)
class SeriesFact:
    """What some files say of one series.

    Attributes:
        uid, study, patient: identifiers as they stand in the files.
        first: path of the file whose header is kept, the least of them.
        header: elements as text by keyword.
        identities: pairs of a kind (`patient`, `frame`, `study`, `synthetic`) and a value; two of a kind are a fault.
        frames: of all these files.
    """

    uid: str
    study: str
    patient: str
    first: str
    header: Mapping[str, str]
    identities: frozenset[tuple[str, str]]
    frames: int


class Store:
    """The store of one index. All methods raise `TemporaryFailure` (`IO`) or `CannotWrite` (`WRITE`) of the disk."""

    def __init__(self, folder: Path, *, source: str, is_new: bool = True) -> None:
        path = folder / STORE
        if not is_new and not path.is_file():
            raise UsageError("INDEX", f"{folder.name} is no index; make one with voxlate index")
        self._lock: int | None = None
        with _disk(path.name):
            folder.mkdir(parents=True, exist_ok=True)
            if is_new:
                self._lock = _locked(folder / LOCK)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
            path.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_CREATE)
        self.key = ""
        try:
            self._claim(folder, source, is_new=is_new)
        except BaseException:
            self.close()
            raise

    def _claim(self, folder: Path, source: str, *, is_new: bool) -> None:
        self.key = self._kept("key", site_key() or secrets.token_hex(32))
        if site_key() and site_key() != self.key:
            raise UsageError("KEY", f"{folder.name} was made with another key of the site; use that or a new folder")
        if is_new and self._kept("source", source) != source:
            raise UsageError("SETTINGS_DIFFER", f"{folder.name} is the index of another source; name a new folder")

    @property
    def source(self) -> str:
        """Returns where the archive is: a path or an address."""
        return str(self._rows("SELECT value FROM meta WHERE name = 'source'")[0][0])

    def close(self) -> None:
        """Closes the file, and lets another run write."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def bite(self) -> Iterator[None]:
        """Keeps what the block writes together or not at all."""
        with _disk(STORE):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def next_round(self) -> int:
        """Returns the number of a new reading of the archive."""
        number = int(self._kept("round", "0")) + 1
        with self.bite():
            self._connection.execute("UPDATE meta SET value = ? WHERE name = 'round'", (str(number),))
        return number

    def known(self, folder: str) -> dict[str, tuple[int, int]]:
        """Returns size and time of change of the files that are known of a folder."""
        sql = "SELECT name, size, changed FROM files JOIN folders ON folder = id WHERE path = ?"
        return {_loaded(name): (size, changed) for name, size, changed in self._rows(sql, _stored(folder))}

    def held(self, folder: str) -> set[str]:
        """Returns the names of a folder's files that belong to a series."""
        sql = "SELECT name FROM files JOIN folders ON folder = id WHERE path = ? AND series IS NOT NULL"
        return {_loaded(name) for (name,) in self._rows(sql, _stored(folder))}

    def keep_study(self, study: str, number: int) -> None:
        """Marks every file of a study of a server as seen in a round."""
        sql = """UPDATE files SET round = ? WHERE folder IN (SELECT id FROM folders WHERE path >= ? AND path < ?)"""
        with self.bite():
            # what begins with the study and a stroke; 0 follows the stroke
            self._connection.execute(sql, (number, f"{study}/", f"{study}0"))

    def still_there(self, folder: str, names: Iterable[str], number: int) -> None:
        """Marks files as seen in a round."""
        with self.bite():
            place = self._folder(folder)
            self._connection.executemany(
                "UPDATE files SET round = ? WHERE folder = ? AND name = ?",
                [(number, place, _stored(name)) for name in names],
            )

    def add(self, folder: str, files: Iterable[FileFact], series: Iterable[SeriesFact], number: int) -> None:
        """Keeps what a bite of a folder's files said."""
        with self.bite():
            place = self._folder(folder)
            ids = {fact.uid: self._series(fact) for fact in series}
            self._connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (place, _stored(file.name), file.size, file.changed, ids.get(file.uid), file.state, number)
                    for file in files
                ],
            )

    def forget(self, folder: str, names: Iterable[str]) -> None:
        """Forgets changed files, and every file of the series they belonged to, so that those are read again."""
        with self.bite():
            place = self._folder(folder)
            for name in names:
                which = (place, _stored(name))
                found = self._rows("SELECT series FROM files WHERE folder = ? AND name = ?", *which)
                self._connection.execute("DELETE FROM files WHERE folder = ? AND name = ?", which)
                self._forget_series(found)

    def forget_unseen(self, number: int) -> bool:
        """Forgets files that a round did not meet, with their series; tells whether others must be read again."""
        with self.bite():
            before = self._count("SELECT count(*) FROM files WHERE round = ?", number)
            found = self._rows("SELECT DISTINCT series FROM files WHERE round < ?", number)
            self._connection.execute("DELETE FROM files WHERE round < ?", (number,))
            self._forget_series(found)
            return self._count("SELECT count(*) FROM files WHERE round = ?", number) < before

    def set_pending(self, count: int) -> None:
        """Keeps how many series the archive did not answer for."""
        with self.bite():
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('pending', ?)", (str(count),))

    def counts(self) -> dict[str, int]:
        """Returns the number of files by state, and of series."""
        found = {str(state): int(count) for state, count in self._rows("SELECT state, count(*) FROM files GROUP BY 1")}
        pending = self._rows("SELECT value FROM meta WHERE name = 'pending'")
        return found | {
            "series": self._count("SELECT count(*) FROM series"),
            "pending": int(pending[0][0]) if pending else 0,
        }

    def series(self) -> Iterator[dict[str, Any]]:
        """Yields the series by patient, study and name, at constant memory."""
        sql = """SELECT s.id, s.uid, s.study, s.patient, s.name, s.header, s.frames,
                        (SELECT count(*) FROM files f WHERE f.series = s.id)
                 FROM series s ORDER BY s.patient, s.study, s.name"""
        births, last = 0, None
        with _disk(STORE):
            for number, uid, study, patient, name, header, frames, files in self._connection.execute(sql):
                if patient != last:
                    births, last = self._births(patient), patient
                kinds = self._rows("SELECT kind, count(*) FROM identities WHERE series = ? GROUP BY kind", number)
                yield {"uid": uid, "study": study, "patient": patient, "name": name, "header": json.loads(header),
                       "files": files, "frames": frames, "births": births,
                       "identities": dict(kinds)}  # fmt: skip

    def files_of(self, name: str) -> list[Path]:
        """Returns the files of the series of a pseudonym, in the order of their paths.

        Raises:
            UsageError: `SERIES` when the index has no such series.
        """
        sql = """SELECT path, files.name FROM files JOIN folders ON folder = folders.id
                 JOIN series ON series.id = files.series WHERE series.name = ? ORDER BY 1, 2"""
        found = [Path(_loaded(folder)) / _loaded(file) for folder, file in self._rows(sql, name)]
        if not found:
            raise UsageError("SERIES", f"the index has no series {name}")
        return found

    def stamps(self) -> dict[str, str]:
        """Returns, by series, what changes when one of its files does: their number, sizes and times of change."""
        sql = """SELECT s.name, count(*), sum(f.size), sum(f.changed % 1000000007), max(f.changed)
                 FROM files f JOIN series s ON s.id = f.series GROUP BY s.id"""
        return {name: "-".join(str(value) for value in values) for name, *values in self._rows(sql)}

    def file_count(self, name: str) -> int:
        """Returns how many files the series of a pseudonym has."""
        return self._count(
            "SELECT count(*) FROM files JOIN series ON series.id = files.series WHERE series.name = ?", name
        )

    def identifiers_of(self, name: str) -> tuple[str, str]:
        """Returns StudyInstanceUID and SeriesInstanceUID of the series of a pseudonym."""
        rows = self._rows("SELECT header, uid FROM series WHERE name = ?", name)
        if not rows:
            raise UsageError("SERIES", f"the index has no series {name}")
        return str(json.loads(rows[0][0]).get("StudyInstanceUID", "")), str(rows[0][1])

    def _births(self, patient: str) -> int:
        """Returns how many birth dates the series of one patient tell; two make it no one patient."""
        sql = """SELECT count(DISTINCT value) FROM identities JOIN series ON series = id
                 WHERE patient = ? AND kind = 'birth'"""
        return self._count(sql, patient)

    def _series(self, fact: SeriesFact) -> int:
        rows = self._rows("SELECT id, first FROM series WHERE uid = ?", fact.uid)
        first = fact.first.encode("utf-8", "backslashreplace").decode()
        values = (
            pseudonym(self.key, "study", fact.study),
            pseudonym(self.key, "patient", fact.patient),
            pseudonym(self.key, "series", fact.uid),
            first,
            json.dumps(dict(fact.header), sort_keys=True),
        )
        if not rows:
            made = self._connection.execute(
                "INSERT INTO series (study, patient, name, first, header, frames, uid) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*values, fact.frames, fact.uid),
            )
            number = int(made.lastrowid or 0)
        else:
            number = int(rows[0][0])
            self._connection.execute("UPDATE series SET frames = frames + ? WHERE id = ?", (fact.frames, number))
            if first < rows[0][1]:
                self._connection.execute(
                    "UPDATE series SET study = ?, patient = ?, name = ?, first = ?, header = ? WHERE id = ?",
                    (*values, number),
                )
        self._connection.executemany(
            "INSERT OR IGNORE INTO identities VALUES (?, ?, ?)",
            [(number, kind, pseudonym(self.key, kind, value)) for kind, value in sorted(fact.identities)],
        )
        return number

    def _forget_series(self, numbers: Iterable[tuple[Any, ...]]) -> None:
        for number in numbers:
            self._connection.execute("DELETE FROM files WHERE series = ?", number)
            self._connection.execute("DELETE FROM identities WHERE series = ?", number)
            self._connection.execute("DELETE FROM series WHERE id = ?", number)

    def _folder(self, path: str) -> int:
        self._connection.execute("INSERT OR IGNORE INTO folders (path) VALUES (?)", (_stored(path),))
        return self._count("SELECT id FROM folders WHERE path = ?", _stored(path))

    def _kept(self, name: str, value: str) -> str:
        with self.bite():
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
        return str(self._rows("SELECT value FROM meta WHERE name = ?", name)[0][0])

    def _count(self, sql: str, *values: object) -> int:
        return int(self._rows(sql, *values)[0][0])

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with _disk(STORE):
            return self._connection.execute(sql, values).fetchall()


def _locked(path: Path) -> int:
    """Returns a handle that holds the lock of an index until it is closed, or its process ends.

    Raises:
        TemporaryFailure: `LOCKED` when another run holds it.
    """
    try:
        return lock(path, mode=0o600)
    except BlockingIOError as error:
        raise TemporaryFailure("LOCKED", "another run works on this index; wait for it") from error


def _stored(name: str) -> str | bytes:
    """Returns a name as SQLite takes it: as bytes when it is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def _loaded(name: str | bytes) -> str:
    return os.fsdecode(name)


@contextmanager
def _disk(name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if any(word in str(error).lower() for word in _TEMPORARY):
            raise TemporaryFailure("IO", f"{name}: {error}; what was read so far is kept, run it again") from error
        raise CannotWrite("WRITE", f"{name}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise CannotWrite("INDEX", f"{name} is damaged ({error}); remove it and index again") from error
    except OSError as error:
        raise CannotWrite("WRITE", f"{name}: {error.strerror}") from error
