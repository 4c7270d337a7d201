"""The web application for re-grading: one picture at a time, on this computer only, protected like a reader study."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from fastapi import Depends, Request, Response

from voxlate.quality.review.regrading import Grade, RegradingSession, open_log
from voxlate.quality.run import read_grades
from voxlate.web.server.app import CSS, HTML, JAVASCRIPT, PageFiles, add_session, new_app
from voxlate.web.server.auth import Authenticator, csrf_token, issue_link
from voxlate.web.server.security import App, SecurityMiddleware
from voxlate.web.server.serve import Address, require_free_port, require_safe, run_app

REGRADE_COOKIE = "voxlate_regrader"
_PAGE_FILES: PageFiles = {
    "": ("voxlate.quality.review", "page/regrade.html", HTML),
    "page.css": ("voxlate.web", "assets/app.css", CSS),
    "regrade.css": ("voxlate.quality.review", "page/regrade.css", CSS),
    "regrade.js": ("voxlate.quality.review", "page/regrade.js", JAVASCRIPT),
    "tiles.js": ("voxlate.quality.review", "page/tiles.js", JAVASCRIPT),
    "api.js": ("voxlate.web", "assets/api.js", JAVASCRIPT),
    "keyboard.js": ("voxlate.web", "assets/keyboard.js", JAVASCRIPT),
}


def create_regrade_app(session: RegradingSession, authenticator: Authenticator, *, origins: Iterable[str]) -> App:
    """Returns the application, inside `SecurityMiddleware`.

    Args:
        session: answers the requests of the page.
        authenticator: checks links and sessions.
        origins: addresses under which the page is opened.
    """
    app = new_app(_PAGE_FILES)
    add_session(app, authenticator, is_secure=False, cookie_name=REGRADE_COOKIE)

    def current_reader(request: Request) -> str:
        return authenticator.reader_of(request.cookies.get(REGRADE_COOKIE))

    signed_in = Depends(current_reader)

    @app.get("/api/state")
    def state(request: Request, reader: str = signed_in) -> dict[str, Any]:
        return session.state(reader) | {"csrf": csrf_token(request.cookies.get(REGRADE_COOKIE, ""))}

    @app.get("/api/items/{key}/picture")
    def picture(key: str, _: str = signed_in) -> Response:
        return Response(session.picture(key), media_type="image/png", headers={"cache-control": "no-store"})

    @app.get("/api/items/{key}/slices")
    def slices(key: str, _: str = signed_in) -> dict[str, Any]:
        return session.slices(key)

    @app.get("/api/items/{key}/slices/{plane}/{number}/{window}")
    def slice_picture(key: str, plane: str, number: int, window: str, _: str = signed_in) -> Response:
        content = session.slice_picture(key, plane, number, window)
        return Response(content, media_type="image/png", headers={"cache-control": "no-store"})

    @app.post("/api/grades")
    def add_grade(sent: Grade, reader: str = signed_in) -> dict[str, bool]:
        session.add_grade(reader, sent)
        return {"kept": True}

    return SecurityMiddleware(app, list(origins), cookie=REGRADE_COOKIE)


def serve_regrading(
    folder: Path, reader: str, address: Address, *, announce: Callable[[str], None], source: Path | None = None
) -> None:
    """Serves the page until the user stops it.

    Args:
        folder: made by `voxlate grade`.
        reader: pseudonym of the person who grades.
        address: where to listen.
        announce: receives the one-time link before the server starts.
        source: what was graded; see `RegradingSession`.

    Raises:
        UsageError: `NOT_LOOPBACK`, `PORT`, `GRADES`.
        CannotWrite, InputRefused: see `open_log`.
    """
    require_safe(address)
    require_free_port(address)
    read_grades(folder)  # refuses another kind of folder before the log is created in it
    with closing(open_log(folder)) as log:
        app = create_regrade_app(RegradingSession(folder, log, source), Authenticator(log), origins=address.origins())
        announce(f"{address.origins()[0]}/#{issue_link(log, {reader}, reader)}")
        run_app(app, address)
