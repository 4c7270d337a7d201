"""Sign-in for the local servers: a one-time link starts a session, which a cookie identifies.

The database holds only SHA-256 hashes of link secrets and session secrets, never the secrets themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta

from voxlate.errors import UsageError
from voxlate.web.server.answer_log import AnswerLog
from voxlate.web.server.http_errors import HttpRefusal

COOKIE = "voxlate_reader"
LINK, SESSION = "link", "session"
LINK_DAYS = 14
"""Lifetime of an unused link. Chosen by hand: two weeks to answer an invitation."""
SESSION_DAYS = 30
"""Lifetime of a session. Chosen by hand: a reader should not need a second link within one study."""
_FAILURES_PER_MINUTE = 20
"""Wrong links per minute before the server answers 429. Chosen by hand; it only slows down guessing and log growth."""
_SECRET_BYTES = 32
"""256 random bits cannot be guessed, so a correct link needs no further protection."""


def issue_link(log: AnswerLog, readers: set[str], reader: str) -> str:
    """Returns the secret of a new one-time link.

    Args:
        log: receives the hash of the secret.
        readers: ids of all readers of the study.
        reader: the reader who gets the link.

    Raises:
        UsageError: `READER` when `reader` is not one of `readers`.
    """
    if reader not in readers:
        raise UsageError("READER", f"the study has no reader {reader}; it has {', '.join(sorted(readers))}")
    return _issue(log, LINK, reader, timedelta(days=LINK_DAYS))


class Authenticator:
    """Exchanges links for sessions and maps session cookies to readers."""

    def __init__(self, log: AnswerLog) -> None:
        self._log = log
        self._failures: deque[float] = deque(maxlen=_FAILURES_PER_MINUTE + 1)
        self._lock = threading.Lock()

    def sign_in(self, token: str) -> str:
        """Returns the secret of a new session and uses up the link.

        Only wrong links are counted. A correct link works after any number of wrong ones, because a counter that
        could lock readers out would let anyone stop a study.

        Args:
            token: the secret of the link.

        Raises:
            HttpRefusal: 401 `LINK` when the link is unknown, used or expired; 429 `SLOW_DOWN` after too many of them.
        """
        reader = self._log.redeem(_digest(token), LINK)
        if reader is None:
            self._count_failure()
            raise HttpRefusal(401, "LINK", "This link was already used or has expired. Ask for a new one.")
        return _issue(self._log, SESSION, reader, timedelta(days=SESSION_DAYS))

    def reader_of(self, cookie: str | None) -> str:
        """Returns the reader whose session the cookie belongs to.

        Raises:
            HttpRefusal: 401 `SESSION` when there is no valid session.
        """
        reader = self._log.valid_reader(_digest(cookie), SESSION) if cookie else None
        if reader is None:
            raise HttpRefusal(401, "SESSION", "You are not signed in. Open your personal link, or ask for a new one.")
        return reader

    def sign_out(self, cookie: str) -> None:
        """Ends a session."""
        self._log.redeem(_digest(cookie), SESSION)

    def _count_failure(self) -> None:
        with self._lock:
            while self._failures and time.monotonic() - self._failures[0] > 60:
                self._failures.popleft()
            self._failures.append(time.monotonic())
            if len(self._failures) > _FAILURES_PER_MINUTE:
                raise HttpRefusal(429, "SLOW_DOWN", "Too many wrong links. Wait a minute.")


def csrf_token(cookie: str) -> str:
    """Returns the token that a page of this session sends with every unsafe request."""
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_csrf_token(cookie: str | None, token: str | None) -> bool:
    """Returns whether `token` is the CSRF token of the session."""
    return bool(cookie and token) and hmac.compare_digest(csrf_token(cookie or "").encode(), (token or "").encode())


def _issue(log: AnswerLog, kind: str, reader: str, lifetime: timedelta) -> str:
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    log.add_credential(_digest(secret), kind, reader, datetime.now(UTC) + lifetime)
    return secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
