"""The web application of a reader study: the page, its images, and the requests that the page sends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Cookie, Depends, FastAPI, Response

from voxlate.readers.answers import Draft, Instructed, Submission
from voxlate.readers.package import Package
from voxlate.readers.server.session import ReadingSession
from voxlate.web.server.answer_log import AnswerLog
from voxlate.web.server.app import CSS, HTML, JAVASCRIPT, PageFiles, add_session, new_app
from voxlate.web.server.auth import COOKIE, Authenticator, csrf_token
from voxlate.web.server.security import App, SecurityMiddleware

PAGE_FILES: PageFiles = {
    "": ("voxlate.readers.server", "page/index.html", HTML),
    "page.css": ("voxlate.web", "assets/app.css", CSS),
    "api.js": ("voxlate.web", "assets/api.js", JAVASCRIPT),
    "keyboard.js": ("voxlate.web", "assets/keyboard.js", JAVASCRIPT),
    "niivue.js": ("voxlate.web", "niivue/niivue.umd.js", JAVASCRIPT),
} | {
    f"{name}.js": ("voxlate.readers.server", f"page/{name}.js", JAVASCRIPT)
    for name in ("main", "stage", "panel", "forms", "instructions", "words", "outbox", "tools")
}

SessionCookie = Annotated[str | None, Cookie(alias=COOKIE)]


def create_app(package: Package, log: AnswerLog, *, origins: Iterable[str]) -> App:
    """Returns the application of a study, inside `SecurityMiddleware`.

    Args:
        package: the study.
        log: receives the answers.
        origins: addresses under which readers open the page; if all are `https`, the session cookie is secure.
    """
    allowed = list(origins)
    app = new_app(PAGE_FILES)
    authenticator = Authenticator(log)
    add_session(app, authenticator, is_secure=all(origin.startswith("https://") for origin in allowed))
    _add_reading(app, ReadingSession(package, log), authenticator)
    return SecurityMiddleware(app, allowed)


def _add_reading(app: FastAPI, session: ReadingSession, authenticator: Authenticator) -> None:
    def current_reader(cookie: SessionCookie = None) -> str:
        return authenticator.reader_of(cookie)

    signed_in = Depends(current_reader)

    @app.get("/api/state")
    def state(reader: str = signed_in, cookie: SessionCookie = None) -> dict[str, Any]:
        return session.state(reader) | {"csrf": csrf_token(cookie or "")}

    @app.post("/api/page")
    def page(reader: str = signed_in) -> dict[str, str]:
        return {"page": session.open_page(reader)}

    @app.post("/api/answers")
    def answer(sent: Submission, reader: str = signed_in) -> dict[str, Any]:
        return session.submit(reader, sent)

    @app.post("/api/instructed")
    def instructed(sent: Instructed, reader: str = signed_in) -> dict[str, bool]:
        return session.note_instructed(reader, sent)

    @app.post("/api/drafts")
    def draft(sent: Draft, reader: str = signed_in) -> dict[str, bool]:
        session.keep_draft(reader, sent)
        return {"kept": True}

    @app.get("/api/trials/{trial}/images/{slot}")
    def image(trial: str, slot: int, reader: str = signed_in) -> Response:
        # A FileResponse would send the file's ETag, date and name, which could reveal which version is real.
        content = session.image(reader, trial, slot).read_bytes()
        return Response(content, media_type="application/octet-stream", headers={"cache-control": "no-store"})
