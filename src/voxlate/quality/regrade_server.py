"""The page for re-grading: one picture at a time on this computer alone, behind the same gate as a reader study."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response

from voxlate.quality.regrading import Desk, Grade, open_record
from voxlate.quality.run import read_grades
from voxlate.readers.server.app import add_errors, add_page, add_session
from voxlate.readers.server.serve import Address, require_safe, run_app
from voxlate.web.auth import Doorkeeper, csrf_token, issue_link
from voxlate.web.security import App, Gate

REGRADE_COOKIE = "voxlate_regrader"
_CSS, _JS = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_PAGE = {
    "": ("voxlate.quality", "regrade_page/regrade.html", "text/html; charset=utf-8"),
    "page.css": ("voxlate.web", "assets/app.css", _CSS),
    "regrade.css": ("voxlate.quality", "regrade_page/regrade.css", _CSS),
    "regrade.js": ("voxlate.quality", "regrade_page/regrade.js", _JS),
    "api.js": ("voxlate.web", "assets/api.js", _JS),
}


def create_regrade_app(desk: Desk, door: Doorkeeper, *, origins: Iterable[str]) -> App:
    """Returns the application behind its gate.

    Args:
        desk: what it asks.
        door: who may ask.
        origins: addresses under which it is opened.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_errors(app)
    add_page(app, _PAGE)
    add_session(app, door, is_secure=False, name=REGRADE_COOKIE)

    def signed_in(request: Request) -> str:
        return door.reader(request.cookies.get(REGRADE_COOKIE))

    known = Depends(signed_in)

    @app.get("/api/state")
    def state(request: Request, reader: str = known) -> dict[str, Any]:
        return desk.state(reader) | {"csrf": csrf_token(request.cookies.get(REGRADE_COOKIE, ""))}

    @app.get("/api/items/{key}/picture")
    def picture(key: str, _: str = known) -> Response:
        return Response(desk.picture(key), media_type="image/png", headers={"cache-control": "no-store"})

    @app.post("/api/grades")
    def keep(sent: Grade, reader: str = known) -> dict[str, bool]:
        desk.keep(reader, sent)
        return {"kept": True}

    return Gate(app, list(origins), cookie=REGRADE_COOKIE)


def serve_regrading(folder: Path, reader: str, address: Address, *, announce: Callable[[str], None]) -> None:
    """Serves the page until it is stopped; `announce` is given the link, which works once.

    Raises:
        UsageError: `NOT_LOOPBACK`, `GRADES`.
        CannotWrite, InputRefused: see `open_record`.
    """
    require_safe(address)
    read_grades(folder)  # before anything is written: the folder may be another
    store = open_record(folder)
    try:
        app = create_regrade_app(Desk(folder, store), Doorkeeper(store), origins=address.origins())
        announce(f"{address.origins()[0]}/#{issue_link(store, {reader}, reader)}")
        run_app(app, address)
    finally:
        store.close()
