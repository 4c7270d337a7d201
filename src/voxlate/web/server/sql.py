"""Databases for answers: SQLite on a local disk, or PostgreSQL for several sites, with the same tables.

All tables are append-only: triggers refuse UPDATE and DELETE. A transaction returns only after its rows are on disk.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from voxlate.errors import CannotWrite, InputRefused, TemporaryFailure, UsageError

if TYPE_CHECKING:
    import psycopg

Row = tuple[Any, ...]
TABLES = ("log", "answers", "credentials", "redemptions")
_CREATE = (
    """CREATE TABLE IF NOT EXISTS log (
        seq BIGINT PRIMARY KEY, kind TEXT NOT NULL, reader TEXT NOT NULL, body TEXT NOT NULL,
        time_utc TEXT NOT NULL, previous TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE)""",
    """CREATE TABLE IF NOT EXISTS answers (
        seq BIGINT PRIMARY KEY REFERENCES log (seq), reader TEXT NOT NULL, trial TEXT NOT NULL,
        revision BIGINT NOT NULL, submission TEXT NOT NULL, digest TEXT NOT NULL,
        UNIQUE (reader, submission), UNIQUE (trial, revision))""",
    """CREATE TABLE IF NOT EXISTS credentials (
        digest TEXT PRIMARY KEY, kind TEXT NOT NULL, reader TEXT NOT NULL, expires_utc TEXT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS redemptions (digest TEXT PRIMARY KEY REFERENCES credentials (digest))",
)
_NETWORK_DISKS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "glusterfs", "lustre", "ceph"}
"""As named in /proc/mounts. SQLite's write-ahead log needs shared memory on one host (sqlite.org/wal.html)."""

_BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another. Chosen by hand: a transaction here takes milliseconds."""


class Statements(Protocol):
    """Runs SQL with `?` for values inside one transaction."""

    def __call__(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Returns the rows of the result; an empty list for a statement without a result."""
        ...


class Database(Protocol):
    """A database; safe to use from several threads."""

    def transaction(self, *, is_write: bool) -> Any:
        """Opens a transaction that yields `Statements`; one that writes excludes all other writers, in any process."""
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...


def open_database(folder: Path, url: str | None = None) -> Database:
    """Returns the database of a study: `answers.sqlite` in its folder, or PostgreSQL at `url`.

    Args:
        folder: the study.
        url: starts with `postgresql://`; `None` for SQLite.

    Raises:
        CannotWrite: `NETWORK_DISK` for SQLite on a network file system; `WRITE` when the file cannot be written.
        UsageError: `DATABASE_URL` for another kind of address; `POSTGRES` when psycopg is not installed.
        TemporaryFailure: `DATABASE` when the server does not answer.
    """
    if url is None:
        return SqliteDatabase(folder / "answers.sqlite")
    if not url.startswith(("postgresql://", "postgres://")):
        raise UsageError("DATABASE_URL", "give a database as postgresql://user@host/name")
    return PostgresDatabase(url)


class SqliteDatabase:
    """SQLite with a write-ahead log and full synchronisation: an acknowledged row survives a power failure."""

    def __init__(self, path: Path) -> None:
        _require_local(path.parent)
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        except (sqlite3.OperationalError, OSError) as error:
            raise CannotWrite("WRITE", f"{path.name}: {error}") from error
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise damaged_record() from error
        with self.transaction(is_write=True) as run:
            for statement in (*_CREATE, *_sqlite_triggers()):
                run(statement)

    @contextmanager
    def transaction(self, *, is_write: bool) -> Iterator[Statements]:
        """Yields `Statements` that are committed together or not at all."""
        with self._lock, _database_errors(sqlite3.OperationalError), _damaged_file():
            self._connection.execute("BEGIN IMMEDIATE" if is_write else "BEGIN")
            try:
                yield lambda sql, values=(): self._connection.execute(sql, tuple(values)).fetchall()
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()


class PostgresDatabase:
    """PostgreSQL; after a lost connection the next transaction opens a new one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[Row] | None = None
        with self.transaction(is_write=False) as run:
            run("SELECT pg_advisory_xact_lock(hashtext('voxlate readers'))")
            for statement in (*_CREATE, *_postgres_triggers()):
                run(statement)

    @contextmanager
    def transaction(self, *, is_write: bool) -> Iterator[Statements]:
        """Yields `Statements` that are committed together or not at all."""
        psycopg = _psycopg()
        with self._lock, _database_errors(psycopg.OperationalError), self._connected().transaction():
            if is_write:
                self._connected().execute("LOCK TABLE log IN EXCLUSIVE MODE")
            yield self._run

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def _run(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        cursor = self._connected().execute(sql.replace("?", "%s").encode(), tuple(values) or None)
        return cursor.fetchall() if cursor.description else []

    def _connected(self) -> psycopg.Connection[Row]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = _psycopg().connect(self._url, autocommit=True, connect_timeout=10)
        return self._connection


def damaged_record() -> InputRefused:
    """Returns the error for a database whose content is not what was written."""
    return InputRefused("RECORD_DAMAGED", "the record of answers is damaged; restore answers.sqlite from a backup")


@contextmanager
def _damaged_file() -> Iterator[None]:
    """Turns SQLite's errors on damaged pages or texts into a refusal."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.IntegrityError):
        raise
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise damaged_record() from error


@contextmanager
def _database_errors(kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kind as error:
        reason = " ".join(str(error).split())
        raise TemporaryFailure("DATABASE", f"the database failed ({reason}); try again") from error


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise UsageError("POSTGRES", "PostgreSQL needs psycopg: pip install 'voxlate[postgres]'") from error
    return psycopg


def _sqlite_triggers() -> Iterator[str]:
    for table in TABLES:
        for action in ("UPDATE", "DELETE"):
            yield (
                f"CREATE TRIGGER IF NOT EXISTS {table}_no_{action.lower()} BEFORE {action} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'rows of a reader study are never changed'); END"
            )


def _postgres_triggers() -> Iterator[str]:
    yield (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'rows of a reader study are never changed'; END $$"
    )
    for table in TABLES:
        yield (
            f"CREATE OR REPLACE TRIGGER {table}_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def _require_local(folder: Path) -> None:
    """Refuses a network file system, where SQLite's locks and shared memory do not work."""
    kind = _file_system(folder)
    if kind in _NETWORK_DISKS:
        raise CannotWrite(
            "NETWORK_DISK",
            f"{folder.name} is on a network file system ({kind}); use a local disk, or PostgreSQL",
        )


def _file_system(folder: Path) -> str:
    """Returns the type of the file system, from the longest mount point above the folder; empty without /proc."""
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return ""
    target = os.path.realpath(folder)
    best = ("", "")
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, mount, kind, *_ = line.split(" ")
        if (target + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]
