"""Who is reading: a link that works once becomes a session; only hashes of both are stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta

from voxlate.errors import UsageError
from voxlate.web.answer_log import Store
from voxlate.web.http_errors import Declined

COOKIE = "voxlate_reader"
LINK, SESSION = "link", "session"
LINK_DAYS = 14
SESSION_DAYS = 30
_FAILURES_PER_MINUTE = 20


def issue_link(store: Store, readers: set[str], reader: str) -> str:
    """Returns the secret of a new link for a reader.

    Raises:
        UsageError: `READER` when the study has no such reader.
    """
    if reader not in readers:
        raise UsageError("READER", f"the study has no reader {reader}; it has {', '.join(sorted(readers))}")
    return _issue(store, LINK, reader, timedelta(days=LINK_DAYS))


class Doorkeeper:
    """Lets readers in by their links and knows them by their sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failures: deque[float] = deque(maxlen=_FAILURES_PER_MINUTE + 1)
        self._lock = threading.Lock()

    def enter(self, token: str) -> str:
        """Returns the secret of a new session for a link that was not used before.

        A link that is right is let in however many wrong ones came before it: 256 random bits are not guessed, and a
        counter that could lock readers out would be a way to stop a study. Wrong ones are slowed down.

        Raises:
            Declined: 401 `LINK` when it was used, has expired or never was; 429 `SLOW_DOWN`.
        """
        reader = self._store.redeem(_digest(token), LINK)
        if reader is None:
            self._require_patience()
            raise Declined(401, "LINK", "This link was used already or has expired. Ask for a new one.")
        return _issue(self._store, SESSION, reader, timedelta(days=SESSION_DAYS))

    def reader(self, cookie: str | None) -> str:
        """Returns whose session a cookie is.

        Raises:
            Declined: 401 `SESSION`.
        """
        reader = self._store.valid_reader(_digest(cookie), SESSION) if cookie else None
        if reader is None:
            raise Declined(401, "SESSION", "You are not signed in here. Open your personal link, or ask for a new one.")
        return reader

    def leave(self, cookie: str) -> None:
        """Ends a session."""
        self._store.redeem(_digest(cookie), SESSION)

    def _require_patience(self) -> None:
        with self._lock:
            while self._failures and time.monotonic() - self._failures[0] > 60:
                self._failures.popleft()
            self._failures.append(time.monotonic())
            if len(self._failures) > _FAILURES_PER_MINUTE:
                raise Declined(429, "SLOW_DOWN", "Too many wrong links. Wait a minute.")


def csrf_token(cookie: str) -> str:
    """Returns what a page of this session must send with every unsafe request."""
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_csrf_token(cookie: str | None, token: str | None) -> bool:
    """Tells whether `token` belongs to the session."""
    return bool(cookie and token) and hmac.compare_digest(csrf_token(cookie or "").encode(), (token or "").encode())


def _issue(store: Store, kind: str, reader: str, lifetime: timedelta) -> str:
    secret = secrets.token_urlsafe(32)
    store.add_credential(_digest(secret), kind, reader, datetime.now(UTC) + lifetime)
    return secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
