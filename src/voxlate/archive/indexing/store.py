"""Stores the index of an archive in SQLite, one transaction for each chunk of files, so that a kill loses one chunk.

The store holds paths and identifiers in clear and must not leave the site; the Parquet table made from it has neither.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxlate.archive.indexing.patients import settle_patients
from voxlate.archive.indexing.records import NOT_DICOM, UNREAD_FOLDER, FileRecord, SeriesRecord, StoredSeries
from voxlate.archive.indexing.schema import prepare_tables
from voxlate.archive.indexing.sqlite_names import STORE, below, disk_errors, loaded, locked, stored
from voxlate.archive.pseudonyms import pseudonym
from voxlate.errors import UsageError
from voxlate.io.site_key import site_key

LOCK = "index.lock"
BUSY_S = 10.0
"""Seconds that a statement waits for another process that writes; transactions take far less. Chosen by hand."""

_ADD_SERIES = """
INSERT INTO series (uid, study, patient, name, first, header, stated, number, bare)
VALUES (:uid, :study, :patient, :name, :first, :header, :stated, :number, :bare)
ON CONFLICT (uid) DO UPDATE SET (study, patient, name, first, header, stated, number, bare) =
    (excluded.study, excluded.patient, excluded.name, excluded.first, excluded.header, excluded.stated,
     excluded.number, excluded.bare)
WHERE excluded.first < series.first
"""

_MARK_SEEN = "UPDATE files SET round = ? WHERE folder = ? AND name = ?"


class IndexStore:
    """The store of one index.

    Every method raises `TemporaryFailure` (`IO`) when the disk is full or busy, and `CannotWrite` (`WRITE`, `INDEX`)
    when it cannot be written or the store is damaged.

    Args:
        folder: of the index.
        source: path or URL of the archive; only checked when `is_new`.
        is_new: open for writing, and create the store when it does not exist; else open for reading.

    Attributes:
        key: secret for pseudonyms.

    Raises:
        UsageError: `INDEX` when the store does not exist or is of another version, `KEY` when it was made with another
            key, `SETTINGS_DIFFER` when it is the index of another source.
        TemporaryFailure: `LOCKED` when another run writes.
    """

    def __init__(self, folder: Path, *, source: str, is_new: bool = True) -> None:
        path = folder / STORE
        if not is_new and not path.is_file():
            raise UsageError("INDEX", f"{folder.name} is not an index; make one with voxlate index")
        self._lock: int | None = None
        with disk_errors(path.name):
            folder.mkdir(parents=True, exist_ok=True)
            if is_new:
                self._lock = locked(folder / LOCK)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
            path.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        self.key = ""
        try:
            with disk_errors(path.name):
                prepare_tables(self._connection, is_new=is_new)
            self._claim(folder, source, is_new=is_new)
        except BaseException:
            self.close()
            raise

    def _claim(self, folder: Path, source: str, *, is_new: bool) -> None:
        self.key = self._setting("key", site_key() or secrets.token_hex(32))
        if site_key() and site_key() != self.key:
            raise UsageError(
                "KEY", f"{folder.name} was made with another site key; set VOXLATE_UID_SALT to it, or use a new folder"
            )
        if is_new and self._setting("source", source) != source:
            raise UsageError("SETTINGS_DIFFER", f"{folder.name} is the index of another source; use a new folder")

    @property
    def source(self) -> str:
        """Returns the path or URL of the archive."""
        return str(self._rows("SELECT value FROM meta WHERE name = 'source'")[0][0])

    def close(self) -> None:
        """Closes the store and releases its lock."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Runs a block as one transaction: all its changes are stored, or none."""
        with disk_errors(STORE):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def next_round(self) -> int:
        """Returns the number of a new round; each round reads the whole archive once."""
        number = int(self._setting("round", "0")) + 1
        with self.transaction():
            self._connection.execute("UPDATE meta SET value = ? WHERE name = 'round'", (str(number),))
        return number

    def known_files(self, folder: str) -> dict[str, tuple[int, int]]:
        """Returns size in bytes and modification time in ns of the stored files of a folder, by name."""
        sql = "SELECT name, size, changed FROM files JOIN folders ON folder = id WHERE path = ?"
        return {loaded(name): (size, changed) for name, size, changed in self._rows(sql, stored(folder))}

    def files_in_series(self, folder: str) -> set[str]:
        """Returns the names of the stored files of a folder that belong to a series."""
        sql = "SELECT name FROM files JOIN folders ON folder = id WHERE path = ? AND series IS NOT NULL"
        return {loaded(name) for (name,) in self._rows(sql, stored(folder))}

    def mark_seen(self, folder: str, names: Iterable[str], number: int) -> None:
        """Marks stored files of a folder as seen in a round."""
        with self.transaction():
            folder_id = self._folder(folder)
            self._connection.executemany(
                _MARK_SEEN,
                [(number, folder_id, stored(name)) for name in names],
            )

    def keep(self, folder: str, names: Iterable[str], number: int) -> set[int]:
        """Marks stored files that cannot be read now as seen in a round.

        Args:
            folder: of the files.
            names: of files, or of folders with all that lies below them.
            number: of the round.

        Returns:
            Row numbers of the series that they belong to.
        """
        kept: set[int] = set()
        of_file = """SELECT folder, name, series FROM files JOIN folders ON folder = folders.id
                     WHERE (path = ? AND name = ?) OR"""
        with self.transaction():
            for name in names:
                where, values = below(name if folder == "." else f"{folder}/{name}")
                found = self._rows(f"{of_file} {where}", stored(folder), stored(name), *values)
                self._connection.executemany(
                    _MARK_SEEN,
                    [(number, folder_id, file) for folder_id, file, _ in found],
                )
                kept |= {int(series) for *_, series in found if series is not None}
        return kept

    def add(self, folder: str, files: Iterable[FileRecord], series: Iterable[SeriesRecord], number: int) -> None:
        """Stores the records of a chunk.

        Args:
            folder: of the files.
            files: one record for each file.
            series: one record for each series in these files.
            number: of the round.
        """
        with self.transaction():
            folder_id = self._folder(folder)
            ids = {record.uid: self._series(record) for record in series}
            self._connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (folder_id, stored(file.name), file.size, file.changed, ids.get(file.uid), file.state,
                     file.instance, file.frames, number)
                    for file in files
                ],
            )  # fmt: skip

    def forget(self, folder: str, names: Iterable[str]) -> None:
        """Deletes changed files and all files of their series, so that these are read again."""
        with self.transaction():
            folder_id = self._folder(folder)
            for name in names:
                which = (folder_id, stored(name))
                series = self._rows("SELECT series FROM files WHERE folder = ? AND name = ?", *which)
                self._connection.execute("DELETE FROM files WHERE folder = ? AND name = ?", which)
                self._forget_series(series)

    def forget_unseen(self, number: int) -> bool:
        """Deletes files that a round did not see, with their series; returns whether other files must be read again."""
        with self.transaction():
            before = self._count("SELECT count(*) FROM files WHERE round = ?", number)
            series = self._rows("SELECT DISTINCT series FROM files WHERE round < ?", number)
            self._connection.execute("DELETE FROM files WHERE round < ?", (number,))
            self._forget_series(series)
            return self._count("SELECT count(*) FROM files WHERE round = ?", number) < before

    def set_pending(self, count: int) -> None:
        """Stores how many series were left for the next run."""
        with self.transaction():
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('pending', ?)", (str(count),))

    def settle_patients(self) -> None:
        """Decides to whom series without IssuerOfPatientID belong; see `settle_patients`."""
        with self.transaction():
            settle_patients(self._connection)

    def counts(self) -> dict[str, int]:
        """Returns the number of files by state, of series, of copies (`duplicates`) and of series left for later."""
        rows = self._rows("SELECT state, count(*) FROM files GROUP BY 1")
        pending = self._rows("SELECT value FROM meta WHERE name = 'pending'")
        copies = """SELECT coalesce(sum(files - images), 0) FROM (SELECT count(*) AS files,
                    count(DISTINCT instance) AS images FROM files WHERE series IS NOT NULL GROUP BY series)"""
        return {str(state): int(count) for state, count in rows} | {
            "series": self._count("SELECT count(*) FROM series"),
            "duplicates": self._count(copies),
            "pending": int(pending[0][0]) if pending else 0,
        }

    def series(self) -> Iterator[StoredSeries]:
        """Yields the series by patient, study and name; memory does not grow with their number."""
        sql = """SELECT id, uid, study, patient, name, header, unclear FROM series ORDER BY patient, study, name"""
        images = """SELECT count(*), sum(frames) FROM
                    (SELECT max(frames) AS frames FROM files WHERE series = ? GROUP BY instance)"""
        birth_dates, last = 0, None
        with disk_errors(STORE):
            for number, uid, study, patient, name, header, unclear in self._connection.execute(sql):
                if patient != last:
                    birth_dates, last = self._birth_dates(patient), patient
                kinds = self._rows("SELECT kind, count(*) FROM identities WHERE series = ? GROUP BY kind", number)
                ((files, frames),) = self._rows(images, number)
                yield StoredSeries(
                    uid=uid, study=study, patient=patient, name=name, header=json.loads(header), files=files,
                    frames=frames or 0, has_unclear_issuer=bool(unclear), birth_dates=birth_dates,
                    identities=dict(kinds),
                )  # fmt: skip

    def files_of(self, name: str) -> list[Path]:
        """Returns the files of a series, sorted by path relative to the root of the archive.

        Args:
            name: pseudonym of the series.

        Raises:
            UsageError: `SERIES` when the index has no such series.
        """
        sql = """SELECT path, files.name FROM files JOIN folders ON folder = folders.id
                 JOIN series ON series.id = files.series WHERE series.name = ? ORDER BY 1, 2"""
        files = [Path(loaded(folder)) / loaded(file) for folder, file in self._rows(sql, name)]
        if not files:
            raise UsageError("SERIES", f"the index has no series {name}")
        return files

    def stamps(self) -> dict[str, str]:
        """Returns a fingerprint of the files of each series, made from their number, sizes and modification times.

        It is a pseudonym, because it is written into sidecars: the time at which an archive stored a file is often the
        day of the scan, and would undo the shift of the dates.
        """
        sql = """SELECT s.name, count(*), sum(f.size), sum(f.changed % 1000000007), max(f.changed)
                 FROM files f JOIN series s ON s.id = f.series GROUP BY s.id"""
        return {
            name: pseudonym(self.key, "files", "-".join(str(value) for value in values))
            for name, *values in self._rows(sql)
        }

    def file_count(self, name: str) -> int:
        """Returns the number of files of the series with this pseudonym."""
        return self._count(
            "SELECT count(*) FROM files JOIN series ON series.id = files.series WHERE series.name = ?", name
        )

    def owner_of(self, name: str) -> tuple[str, str]:
        """Returns the pseudonyms of patient and study as the header of the series with this pseudonym states them.

        Raises:
            UsageError: `SERIES` when the index has no such series.
        """
        _, _, patient, study = self._of_series(name)
        return patient, study

    def damage_of(self, name: str) -> list[str]:
        """Returns the error codes of damaged files in the folders of a series; none where these hold other series too.

        `UNREAD_FOLDER` stands for a folder that could not be read, where the series is the only one near it.

        Args:
            name: pseudonym of the series.
        """
        where = """WHERE series.name IS NOT ? AND folder IN
                   (SELECT folder FROM files JOIN series ON series.id = files.series WHERE series.name = ?)"""
        beside = "FROM files LEFT JOIN series ON series.id = files.series " + where
        unread = [UNREAD_FOLDER for nearest in self._near_unread_folders() if nearest == {name}]
        if self._rows("SELECT 1 " + beside + " AND series.uid != '' LIMIT 1", name, name):
            return unread
        rows = self._rows("SELECT files.state, series.uid " + beside + " ORDER BY 1", name, name)
        # a file without SeriesInstanceUID was cut off before it
        states = [str(state) if uid is None else "UID_MISSING" for state, uid in rows if state != NOT_DICOM]
        return [state for state in states if state != UNREAD_FOLDER] + unread

    def _near_unread_folders(self) -> Iterator[set[str]]:
        """Yields for each unread folder the series below its nearest ancestor that has any; two stand for several."""
        sql = "SELECT path, name FROM files JOIN folders ON folder = folders.id WHERE state = ?"
        for path, name in self._rows(sql, UNREAD_FOLDER):
            for ancestor in Path(loaded(path), loaded(name)).parents:
                where, values = below(ancestor.as_posix())
                series = """SELECT DISTINCT series.name FROM files JOIN folders ON folder = folders.id
                            JOIN series ON series.id = files.series WHERE series.uid != '' AND """
                if near := {str(row[0]) for row in self._rows(f"{series} ({where}) LIMIT 2", *values)}:
                    yield near
                    break

    def identifiers_of(self, name: str) -> tuple[str, str]:
        """Returns StudyInstanceUID and SeriesInstanceUID of the series with this pseudonym.

        Raises:
            UsageError: `SERIES` when the index has no such series.
        """
        header, uid, _, _ = self._of_series(name)
        return str(json.loads(header).get("StudyInstanceUID", "")), uid

    def _of_series(self, name: str) -> tuple[str, str, str, str]:
        """Returns header, SeriesInstanceUID, stated patient and study of a series; raises `SERIES` without one."""
        rows = self._rows("SELECT header, uid, stated, study FROM series WHERE name = ?", name)
        if not rows:
            raise UsageError("SERIES", f"the index has no series {name}")
        header, uid, patient, study = map(str, rows[0])
        return header, uid, patient, study

    def _birth_dates(self, patient: str) -> int:
        """Returns how many birth dates the series of a patient have; two mean that two people share a number."""
        sql = """SELECT count(DISTINCT value) FROM identities JOIN series ON series = id
                 WHERE patient = ? AND kind = 'birth'"""
        return self._count(sql, patient)

    def _series(self, record: SeriesRecord) -> int:
        """Stores a series, or adds a record to a stored one; returns its row number."""
        patient = pseudonym(self.key, "patient", record.patient)
        values = {
            "study": pseudonym(self.key, "study", record.study),
            "patient": patient,
            "name": pseudonym(self.key, "series", record.uid),
            "first": record.first.encode("utf-8", "backslashreplace").decode(),
            "header": json.dumps(dict(record.header), sort_keys=True),
            "stated": patient,
            "number": pseudonym(self.key, "number", record.number) if record.number else "",
            "bare": record.patient == f"\n{record.number}",
            "uid": record.uid,
        }
        self._connection.execute(_ADD_SERIES, values)
        number = self._count("SELECT id FROM series WHERE uid = ?", record.uid)
        self._connection.executemany(
            "INSERT OR IGNORE INTO identities VALUES (?, ?, ?)",
            [(number, kind, pseudonym(self.key, kind, value)) for kind, value in sorted(record.identities)],
        )
        return number

    def _forget_series(self, numbers: Iterable[tuple[Any, ...]]) -> None:
        for number in numbers:
            self._connection.execute("DELETE FROM files WHERE series = ?", number)
            self._connection.execute("DELETE FROM identities WHERE series = ?", number)
            self._connection.execute("DELETE FROM series WHERE id = ?", number)

    def _folder(self, path: str) -> int:
        self._connection.execute("INSERT OR IGNORE INTO folders (path) VALUES (?)", (stored(path),))
        return self._count("SELECT id FROM folders WHERE path = ?", stored(path))

    def _setting(self, name: str, value: str) -> str:
        """Returns the stored value of a name, and stores `value` first when the name has none."""
        with self.transaction():
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
        return str(self._rows("SELECT value FROM meta WHERE name = ?", name)[0][0])

    def _count(self, sql: str, *values: object) -> int:
        return int(self._rows(sql, *values)[0][0])

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with disk_errors(STORE):
            return self._connection.execute(sql, values).fetchall()
