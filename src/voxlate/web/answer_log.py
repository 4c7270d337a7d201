"""Answers, events and credentials of a study, appended and never changed, chained by hashes.

Each row of `log` carries the SHA-256 over itself and the row before. Whoever changes, drops or inserts a row
breaks the chain from there on; `verify_chain` says where. `analyse` prints the last hash, to be noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from voxlate.errors import InputRefused
from voxlate.readers.study import canonical
from voxlate.web.sql import Database, Statements, damaged

GENESIS = "0" * 64
SERVER = ""
"""The reader of events that are nobody's."""


class Entry(NamedTuple):
    """A row of the log; `body` is JSON."""

    seq: int
    kind: str
    reader: str
    body: str
    time_utc: str
    previous: str
    hash: str


class Answer(NamedTuple):
    """An answer as stored; a correction has the next revision."""

    seq: int
    reader: str
    trial: str
    revision: int
    submission: str
    digest: str
    time_utc: str
    body: Mapping[str, Any]


class Store:
    """The record of one study in a database.

    Raises:
        InputRefused: `PROTOCOL_CHANGED` when the database belongs to another study.
    """

    def __init__(self, database: Database, protocol_hash: str) -> None:
        self._database = database
        with _sound(), database.transaction(is_write=True) as run:
            first = run("SELECT body FROM log WHERE seq = 1")
            if not first:
                _append(run, "study", SERVER, {"protocol_sha256": protocol_hash})
            elif json.loads(first[0][0])["protocol_sha256"] != protocol_hash:
                raise InputRefused("PROTOCOL_CHANGED", "the database holds answers of another study; give an empty one")

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    def note(self, kind: str, reader: str, body: Mapping[str, Any]) -> None:
        """Appends an event."""
        with self._database.transaction(is_write=True) as run:
            _append(run, kind, reader, body)

    def last(self, kind: str, reader: str) -> Mapping[str, Any] | None:
        """Returns the body of the reader's latest event of a kind."""
        with _sound(), self._database.transaction(is_write=False) as run:
            rows = run("SELECT body FROM log WHERE kind = ? AND reader = ? ORDER BY seq DESC LIMIT 1", (kind, reader))
            return json.loads(rows[0][0]) if rows else None

    def add_answer(self, reader: str, trial: str, submission: str, body: Mapping[str, Any], *, revision: int) -> int:
        """Appends an answer and returns its number.

        Raises:
            InputRefused: `ANSWERED` when this revision or submission is there already.
        """
        digest = digest_of(body)
        with self._database.transaction(is_write=True) as run:
            taken = run(
                "SELECT 1 FROM answers WHERE (trial = ? AND revision = ?) OR (reader = ? AND submission = ?)",
                (trial, revision, reader, submission),
            )
            if taken:
                raise InputRefused("ANSWERED", "this case has its answer already")
            content = {"trial": trial, "revision": revision, "submission": submission, **body}
            seq = _append(run, "answer", reader, content)
            run(
                "INSERT INTO answers (seq, reader, trial, revision, submission, digest) VALUES (?, ?, ?, ?, ?, ?)",
                (seq, reader, trial, revision, submission, digest),
            )
        return seq

    def answers(self, reader: str | None = None) -> list[Answer]:
        """Returns all revisions in the order they came, of one reader or of all."""
        with _sound(), self._database.transaction(is_write=False) as run:
            rows = run(
                "SELECT a.seq, a.reader, a.trial, a.revision, a.submission, a.digest, l.time_utc, l.body "
                "FROM answers a JOIN log l ON l.seq = a.seq WHERE a.reader = COALESCE(?, a.reader) ORDER BY a.seq",
                (reader,),
            )
            return [Answer._make((*row[:-1], json.loads(row[-1]))) for row in rows]

    def log(self) -> list[Entry]:
        """Returns the whole log."""
        with self._database.transaction(is_write=False) as run:
            rows = run("SELECT seq, kind, reader, body, time_utc, previous, hash FROM log ORDER BY seq")
        return [Entry(*row) for row in rows]

    def add_credential(self, digest: str, kind: str, reader: str, expires: datetime) -> None:
        """Appends a credential, known by the hash of its secret only."""
        with self._database.transaction(is_write=True) as run:
            run(
                "INSERT INTO credentials (digest, kind, reader, expires_utc) VALUES (?, ?, ?, ?)",
                (digest, kind, reader, _text(expires)),
            )
            _append(run, f"{kind}_issued", reader, {"digest": digest[:12]})

    def valid_reader(self, digest: str, kind: str) -> str | None:
        """Returns whose credential this is; None when unknown, used, ended or expired."""
        with self._database.transaction(is_write=False) as run:
            return _valid_reader(run, digest, kind)

    def redeem(self, digest: str, kind: str) -> str | None:
        """Uses up a credential and returns whose it was; None when it was not valid. Only one caller wins."""
        with self._database.transaction(is_write=True) as run:
            reader = _valid_reader(run, digest, kind)
            if reader is not None:
                run("INSERT INTO redemptions (digest) VALUES (?)", (digest,))
                _append(run, f"{kind}_redeemed", reader, {"digest": digest[:12]})
        return reader


@contextmanager
def _sound() -> Iterator[None]:
    """Refuses a record whose rows hold something else than was written into them."""
    try:
        yield
    except (ValueError, TypeError, LookupError) as error:
        raise damaged() from error


def digest_of(content: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a JSON object, however it was written."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def verify_chain(entries: Iterable[Entry]) -> int | None:
    """Returns the number of the first row that does not fit; None when the chain is whole."""
    previous = GENESIS
    for number, entry in enumerate(entries, start=1):
        if entry.seq != number or entry.previous != previous or entry.hash != _hash(entry):
            return number
        previous = entry.hash
    return None


def current(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Gives the last revision of each trial, in the order of the trials' first answers."""
    latest: dict[str, Answer] = {}
    for answer in answers:
        latest[answer.trial] = answer
    yield from latest.values()


def _valid_reader(run: Statements, digest: str, kind: str) -> str | None:
    rows = run(
        "SELECT reader, expires_utc FROM credentials WHERE digest = ? AND kind = ? "
        "AND digest NOT IN (SELECT digest FROM redemptions)",
        (digest, kind),
    )
    return str(rows[0][0]) if rows and rows[0][1] > _text(datetime.now(UTC)) else None


def _append(run: Statements, kind: str, reader: str, body: Mapping[str, Any]) -> int:
    rows = run("SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1")
    seq, previous = (int(rows[0][0]) + 1, str(rows[0][1])) if rows else (1, GENESIS)
    entry = Entry(seq, kind, reader, canonical(body), _text(datetime.now(UTC)), previous, "")
    run(
        "INSERT INTO log (seq, kind, reader, body, time_utc, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        entry._replace(hash=_hash(entry)),
    )
    return seq


def _hash(entry: Entry) -> str:
    return hashlib.sha256(canonical(list(entry[:-1])).encode()).hexdigest()


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
