"""The append-only log of a study: answers, events and credentials, protected by a hash chain.

Each row of the table `log` holds the SHA-256 of its own content, which includes the hash of the row before. If a row is
changed, removed or inserted, `verify_chain` returns the first row that no longer fits. To detect a log that was
replaced as a whole, note the last hash, which `voxlate readers analyse` prints, in another place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from voxlate.errors import InputRefused
from voxlate.io.documents import canonical_json, json_sha256
from voxlate.web.server.sql import Database, Statements, damaged_record

GENESIS = "0" * 64
"""What the first row has in place of the hash of a row before."""
SERVER = ""
"""The reader of events that concern no reader."""


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
    """An answer as stored. A correction is a new row with the next revision."""

    seq: int
    reader: str
    trial: str
    revision: int
    submission: str
    digest: str
    time_utc: str
    body: Mapping[str, Any]


class AnswerLog:
    """The log of one study in a database.

    Args:
        database: where the rows are kept.
        protocol_hash: identifies the study; the first row of a new log holds it.

    Raises:
        InputRefused: `PROTOCOL_CHANGED` when the database belongs to another study.
    """

    def __init__(self, database: Database, protocol_hash: str) -> None:
        self._database = database
        with _checked_rows(), database.transaction(is_write=True) as run:
            first = run("SELECT body FROM log WHERE seq = 1")
            if not first:
                _append(run, "study", SERVER, {"protocol_sha256": protocol_hash})
            elif json.loads(first[0][0])["protocol_sha256"] != protocol_hash:
                raise InputRefused("PROTOCOL_CHANGED", "the database holds answers of another study; use an empty one")

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def add_event(self, kind: str, reader: str, body: Mapping[str, Any]) -> None:
        """Appends an event."""
        with self._database.transaction(is_write=True) as run:
            _append(run, kind, reader, body)

    def last_event(self, kind: str, reader: str) -> Mapping[str, Any] | None:
        """Returns the body of the reader's latest event of this kind; None if there was none."""
        with _checked_rows(), self._database.transaction(is_write=False) as run:
            rows = run("SELECT body FROM log WHERE kind = ? AND reader = ? ORDER BY seq DESC LIMIT 1", (kind, reader))
            return json.loads(rows[0][0]) if rows else None

    def add_answer(self, reader: str, trial: str, submission: str, body: Mapping[str, Any], *, revision: int) -> int:
        """Appends an answer and returns the number of its row.

        Args:
            reader: who answers.
            trial: id of the trial.
            submission: id that the page drew for this answer.
            body: the answer, a JSON object.
            revision: 0 for the first answer to the trial, then 1, 2, …

        Raises:
            InputRefused: `ANSWERED` when this revision or submission is already stored.
        """
        digest = json_sha256(body)
        with self._database.transaction(is_write=True) as run:
            taken = run(
                "SELECT 1 FROM answers WHERE (trial = ? AND revision = ?) OR (reader = ? AND submission = ?)",
                (trial, revision, reader, submission),
            )
            if taken:
                raise InputRefused("ANSWERED", "this case is already answered")
            content = {"trial": trial, "revision": revision, "submission": submission, **body}
            seq = _append(run, "answer", reader, content)
            run(
                "INSERT INTO answers (seq, reader, trial, revision, submission, digest) VALUES (?, ?, ?, ?, ?, ?)",
                (seq, reader, trial, revision, submission, digest),
            )
        return seq

    def answers(self, reader: str | None = None) -> list[Answer]:
        """Returns all revisions in the order of arrival, of one reader or of all."""
        with _checked_rows(), self._database.transaction(is_write=False) as run:
            rows = run(
                "SELECT a.seq, a.reader, a.trial, a.revision, a.submission, a.digest, l.time_utc, l.body "
                "FROM answers a JOIN log l ON l.seq = a.seq WHERE a.reader = COALESCE(?, a.reader) ORDER BY a.seq",
                (reader,),
            )
            return [Answer._make((*row[:-1], json.loads(row[-1]))) for row in rows]

    def log(self) -> list[Entry]:
        """Returns all rows of the log."""
        with self._database.transaction(is_write=False) as run:
            rows = run("SELECT seq, kind, reader, body, time_utc, previous, hash FROM log ORDER BY seq")
        return [Entry(*row) for row in rows]

    def add_credential(self, digest: str, kind: str, reader: str, expires: datetime) -> None:
        """Appends a credential; `digest` is the SHA-256 of its secret, which itself is not stored."""
        with self._database.transaction(is_write=True) as run:
            run(
                "INSERT INTO credentials (digest, kind, reader, expires_utc) VALUES (?, ?, ?, ?)",
                (digest, kind, reader, _text(expires)),
            )
            _append(run, f"{kind}_issued", reader, {"digest": digest[:12]})

    def valid_reader(self, digest: str, kind: str) -> str | None:
        """Returns the reader of a credential; None when it is unknown, used, ended or expired."""
        with self._database.transaction(is_write=False) as run:
            return _valid_reader(run, digest, kind)

    def redeem(self, digest: str, kind: str) -> str | None:
        """Uses up a credential and returns its reader, to one caller only; None when it is not valid."""
        with self._database.transaction(is_write=True) as run:
            reader = _valid_reader(run, digest, kind)
            if reader is not None:
                run("INSERT INTO redemptions (digest) VALUES (?)", (digest,))
                _append(run, f"{kind}_redeemed", reader, {"digest": digest[:12]})
        return reader


@contextmanager
def _checked_rows() -> Iterator[None]:
    """Turns errors on rows of unexpected content into a refusal of the database."""
    try:
        yield
    except (ValueError, TypeError, LookupError) as error:
        raise damaged_record() from error


def verify_chain(entries: Iterable[Entry]) -> int | None:
    """Returns the number of the first row that breaks the hash chain; None when the chain is intact."""
    previous = GENESIS
    for number, entry in enumerate(entries, start=1):
        if entry.seq != number or entry.previous != previous or entry.hash != _hash(entry):
            return number
        previous = entry.hash
    return None


def latest_revisions(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yields the latest revision of each trial, in the order of the trials' first answers."""
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
    entry = Entry(seq, kind, reader, canonical_json(body), _text(datetime.now(UTC)), previous, "")
    run(
        "INSERT INTO log (seq, kind, reader, body, time_utc, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        entry._replace(hash=_hash(entry)),
    )
    return seq


def _hash(entry: Entry) -> str:
    return json_sha256(list(entry[:-1]))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
