"""Security middleware (ASGI): checks every request before the application, and adds headers to every answer.

- Host must be an allowed one, else 400. This stops DNS rebinding, by which a page elsewhere could reach the server.
- An unsafe method needs an allowed Origin and, after sign-in, the CSRF token of the session, else 403.
- A body must be small and not compressed, else 413.
- Every answer carries a content security policy and is not cached unless the application says otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from voxlate.web.server.auth import COOKIE, is_csrf_token

MAX_BODY_BYTES = 64 << 10
"""The largest request is a draft of 8,000 characters, which has at most 32 kB in UTF-8."""
BODY_SECONDS = 20.0
"""Time limit for a body: 64 kB need a line of 26 kbit/s."""

SESSION_PATH = "/api/session"
"""The address for sign-in, and the only unsafe one that needs no session."""

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


class SecurityMiddleware:
    """Wraps an ASGI application.

    Args:
        app: the application.
        origins: allowed origins, such as `http://127.0.0.1:8765`; their hosts are the allowed hosts.
        cookie: name of the session cookie. Browsers share cookies between ports, so each application has its own name.
    """

    def __init__(self, app: App, origins: Iterable[str], *, cookie: str = COOKIE) -> None:
        self._app = app
        self._cookie = cookie
        self._origins = {origin.lower() for origin in origins}
        self._hosts = {origin.split("://", 1)[1] for origin in self._origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request to the application, or refuses it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
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
            await _refuse(send, *refusal)
            return
        await self._app(scope, _replayed(body or b"", receive), send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
        if headers.get("host", "").lower() not in self._hosts:
            return 400, "HOST", "This address is not served here."
        if _is_too_large(headers) or "content-encoding" in headers:
            return 413, "BODY", "The request is too large, or compressed."
        return None if scope["method"] in _SAFE else self._refusal_of_unsafe(scope, headers)

    def _refusal_of_unsafe(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
        if headers.get("origin", "").lower() not in self._origins:
            return 403, "ORIGIN", "Requests from other pages are refused."
        if (scope["method"], scope["path"]) == ("POST", SESSION_PATH):
            return None
        cookie = _cookie(headers, self._cookie)
        if cookie is None:
            return 401, "SESSION", "You are not signed in. Open your personal link, or ask for a new one."
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
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return morsel.value if morsel else None


async def _body(receive: Receive) -> bytes | None:
    """Returns the body; None as soon as it exceeds the limit, whatever its Content-Length says."""
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
    """Returns a `receive` that gives the body, which was read already, to the application."""
    is_sent = False

    async def replay() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            if not any(name.lower() == b"cache-control" for name, _ in own):
                own.append((b"cache-control", b"no-store"))
            message["headers"] = own + _HEADERS
        await send(message)

    return send_with_headers


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    content = json.dumps({"code": code, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
