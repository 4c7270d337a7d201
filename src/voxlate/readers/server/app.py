"""The web application of a study: one page, its pictures, and the few addresses the page talks to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Annotated, Any

from fastapi import Cookie, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from voxlate.errors import TemporaryFailure, VoxlateError
from voxlate.readers.answers import Draft, Submission, Token
from voxlate.readers.package import Package
from voxlate.readers.server.session import Desk
from voxlate.web.answer_log import Store
from voxlate.web.auth import COOKIE, SESSION_DAYS, Doorkeeper, csrf_token
from voxlate.web.http_errors import Declined
from voxlate.web.security import ENTRANCE, App, Gate

_PAGE = {
    "": ("voxlate.readers.server", "page/index.html", "text/html; charset=utf-8"),
    "page.css": ("voxlate.web", "assets/app.css", "text/css; charset=utf-8"),
    "api.js": ("voxlate.web", "assets/api.js", "text/javascript; charset=utf-8"),
    "niivue.js": ("voxlate.reporting", "niivue/niivue.umd.js", "text/javascript; charset=utf-8"),
} | {
    f"{name}.js": ("voxlate.readers.server", f"page/{name}.js", "text/javascript; charset=utf-8")
    for name in ("main", "stage", "panel", "forms", "keys", "words", "outbox", "tools")
}

SessionCookie = Annotated[str | None, Cookie(alias=COOKIE)]


def create_app(package: Package, store: Store, *, origins: Iterable[str]) -> App:
    """Returns the application behind its gate.

    Args:
        package: the study.
        store: where answers go.
        origins: addresses under which readers open it; `https` ones make the cookie secure.
    """
    allowed = list(origins)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    desk, door = Desk(package, store), Doorkeeper(store)
    add_errors(app)
    add_page(app, _PAGE)
    add_session(app, door, is_secure=all(origin.startswith("https://") for origin in allowed))
    _add_reading(app, desk, door)
    return Gate(app, allowed)


def add_errors(app: FastAPI) -> None:
    """Makes every refusal and failure an answer of a code and one line, never a traceback."""

    @app.exception_handler(VoxlateError)
    async def refused(_: Request, error: VoxlateError) -> JSONResponse:
        status = error.status if isinstance(error, Declined) else 503 if isinstance(error, TemporaryFailure) else 500
        return _said(status, error.code, error.message)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        places = sorted({".".join(str(part) for part in fault["loc"] if part != "body") for fault in error.errors()})
        return _said(422, "ANSWER", f"The request does not have the expected form: {', '.join(places)[:200]}.")

    @app.exception_handler(HTTPException)
    async def absent(_: Request, error: HTTPException) -> JSONResponse:
        if error.status_code in (404, 405):
            return _said(error.status_code, "ADDRESS", "There is nothing at this address.")
        return _said(error.status_code, "REQUEST", "The request could not be read.")

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return _said(500, "INTERNAL", f"The server failed ({type(error).__name__}). Your answer is sent again.")


def _said(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status_code=status)


def add_page(app: FastAPI, parts: Mapping[str, tuple[str, str, str]]) -> None:
    """Adds a page and what it loads.

    Args:
        app: to which.
        parts: package, file and media type by name; the page itself has none.
    """

    def part_of(name: str) -> Response:
        package, file, media_type = parts[name]
        content = (resources.files(package) / file).read_bytes()
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    @app.get("/")
    def index() -> Response:
        return part_of("")

    @app.get("/page/{name}")
    def part(name: str) -> Response:
        if name not in parts or not name:
            raise HTTPException(404)
        return part_of(name)


def add_session(app: FastAPI, door: Doorkeeper, *, is_secure: bool, name: str = COOKIE) -> None:
    """Adds the entrance, which takes a link's secret for a session, and the way out."""

    @app.post(ENTRANCE)
    def enter(sent: Token, response: Response) -> dict[str, str]:
        cookie = door.enter(sent.token)
        response.set_cookie(
            name,
            cookie,
            max_age=SESSION_DAYS * 86_400,
            httponly=True,
            samesite="strict",
            secure=is_secure,
        )
        return {"csrf": csrf_token(cookie)}

    @app.delete(ENTRANCE)
    def leave(request: Request, response: Response) -> dict[str, bool]:
        cookie = request.cookies.get(name)
        door.reader(cookie)
        door.leave(cookie or "")
        response.delete_cookie(name, httponly=True, samesite="strict", secure=is_secure)
        return {"left": True}


def _add_reading(app: FastAPI, desk: Desk, door: Doorkeeper) -> None:
    def signed_in(cookie: SessionCookie = None) -> str:
        return door.reader(cookie)

    known = Depends(signed_in)

    @app.get("/api/state")
    def state(reader: str = known, cookie: SessionCookie = None) -> dict[str, Any]:
        return desk.state(reader) | {"csrf": csrf_token(cookie or "")}

    @app.post("/api/page")
    def page(reader: str = known) -> dict[str, str]:
        return {"page": desk.open_page(reader)}

    @app.post("/api/answers")
    def answer(sent: Submission, reader: str = known) -> dict[str, Any]:
        return desk.submit(reader, sent)

    @app.post("/api/drafts")
    def draft(sent: Draft, reader: str = known) -> dict[str, bool]:
        desk.keep_draft(reader, sent)
        return {"kept": True}

    @app.get("/api/trials/{trial}/images/{slot}")
    def image(trial: str, slot: int, reader: str = known) -> Response:
        # No file response: its validator, date and name would be the file's own, and tell versions apart.
        content = desk.image(reader, trial, slot).read_bytes()
        return Response(content, media_type="application/octet-stream", headers={"cache-control": "no-store"})
