"""What every request passes before anything else reads it, and what every answer carries.

- the Host must be on the list (a foreign name that resolves to us is how pages elsewhere would reach us): 400;
- an unsafe method needs an Origin on the list and, once signed in, the session's token: 403;
- a body is small and never compressed: 413.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from voxlate.web.auth import COOKIE, is_csrf_token

MAX_BODY_BYTES = 64 << 10
BODY_SECONDS = 20.0
"""For 64 kB to arrive: a line of 30 kbit/s is enough."""

ENTRANCE = "/api/session"
"""The only unsafe address without a session: a link's secret comes here."""

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SAFE = {"GET", "HEAD"}
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"x-robots-tag", b"noindex"),
]


class Gate:
    """Stands before an application.

    Args:
        app: the application.
        origins: allowed origins, such as `http://127.0.0.1:8765`; their hosts are the allowed ones.
        cookie: name of the session's cookie; cookies do not know ports, so that each application needs its own.
    """

    def __init__(self, app: App, origins: Iterable[str], *, cookie: str = COOKIE) -> None:
        self._app = app
        self._cookie = cookie
        self._origins = {origin.lower() for origin in origins}
        self._hosts = {origin.split("://", 1)[1] for origin in self._origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        refusal = self._refusal(scope, headers)
        if refusal is None:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body = await _body(receive)
                refusal = (413, "BODY", "The request is too large.") if body is None else None
            except TimeoutError:
                refusal = (408, "SLOW", "The request took too long to arrive.")
        if refusal is not None:
            await _refuse(guarded, *refusal)
            return
        await self._app(scope, _replayed(body or b"", receive), guarded)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
        if headers.get("host", "").lower() not in self._hosts:
            return 400, "HOST", "This address is not served here."
        if _is_too_large(headers) or "content-encoding" in headers:
            return 413, "BODY", "The request is too large, or compressed."
        return None if scope["method"] in _SAFE else self._unsafe(scope, headers)

    def _unsafe(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
        if headers.get("origin", "").lower() not in self._origins:
            return 403, "ORIGIN", "Requests from other pages are refused."
        if (scope["method"], scope["path"]) == ("POST", ENTRANCE):
            return None
        cookie = _cookie(headers, self._cookie)
        if cookie is None:
            return 401, "SESSION", "You are not signed in here. Open your personal link, or ask for a new one."
        if not is_csrf_token(cookie, headers.get("x-csrf-token")):
            return 403, "CSRF", "The page is out of date. Load it again."
        return None


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _is_too_large(headers: dict[str, str]) -> bool:
    length = headers.get("content-length", "0")
    return not (length.isascii() and length.isdigit() and int(length) <= MAX_BODY_BYTES)


def _cookie(headers: dict[str, str], name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return found.value if found else None


async def _body(receive: Receive) -> bytes | None:
    """Returns the body; None as soon as it is too large, whatever its length claims to be."""
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            if not any(name.lower() == b"cache-control" for name, _ in own):
                own.append((b"cache-control", b"no-store"))
            message["headers"] = own + _HEADERS
        await send(message)

    return guarded


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    content = json.dumps({"code": code, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
