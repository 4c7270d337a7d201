"""Parts that the reader study and the re-grading application share: error answers, page files, sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Annotated

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from voxlate.errors import TemporaryFailure, VoxlateError
from voxlate.web.server.auth import COOKIE, SESSION_DAYS, Authenticator, csrf_token
from voxlate.web.server.http_errors import HttpRefusal
from voxlate.web.server.security import SESSION_PATH

HTML, CSS, JAVASCRIPT = (f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript"))

PageFiles = Mapping[str, tuple[str, str, str]]
"""Package, path inside it and media type of each file of a page, by the name in its address; `""` is the page."""


class LinkToken(BaseModel):
    """The secret of a one-time link, as the browser sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    token: Annotated[str, Field(min_length=1, max_length=200)]


def new_app(files: PageFiles) -> FastAPI:
    """Returns an application that serves a page and answers every error as JSON, without FastAPI's own pages."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_errors(app)
    _add_page(app, files)
    return app


def _add_errors(app: FastAPI) -> None:
    """Answers every refusal and failure with a code and one line, never with a traceback."""

    @app.exception_handler(VoxlateError)
    async def refused(_: Request, error: VoxlateError) -> JSONResponse:
        status = error.status if isinstance(error, HttpRefusal) else 503 if isinstance(error, TemporaryFailure) else 500
        return _error_response(status, error.code, error.message)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        fields = sorted({".".join(str(part) for part in fault["loc"] if part != "body") for fault in error.errors()})
        return _error_response(
            422, "ANSWER", f"The request does not have the expected form: {', '.join(fields)[:200]}."
        )

    @app.exception_handler(HTTPException)
    async def not_found(_: Request, error: HTTPException) -> JSONResponse:
        if error.status_code in (404, 405):
            return _error_response(error.status_code, "ADDRESS", "There is nothing at this address.")
        return _error_response(error.status_code, "REQUEST", "The request could not be read.")

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        message = f"The server failed ({type(error).__name__}). The page will send your answer again."
        return _error_response(500, "INTERNAL", message)


def _error_response(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status_code=status)


def _add_page(app: FastAPI, files: PageFiles) -> None:
    def file_response(name: str) -> Response:
        package, path, media_type = files[name]
        content = (resources.files(package) / path).read_bytes()
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    @app.get("/")
    def index() -> Response:
        return file_response("")

    @app.get("/page/{name}")
    def page_file(name: str) -> Response:
        if name not in files or not name:
            raise HTTPException(404)
        return file_response(name)


def add_session(app: FastAPI, authenticator: Authenticator, *, is_secure: bool, cookie_name: str = COOKIE) -> None:
    """Adds sign-in, which exchanges the secret of a link for a session cookie, and sign-out.

    Args:
        app: the application.
        authenticator: checks links and sessions.
        is_secure: whether browsers may send the cookie over HTTPS only.
        cookie_name: name of the session cookie.
    """

    @app.post(SESSION_PATH)
    def sign_in(sent: LinkToken, response: Response) -> dict[str, str]:
        cookie = authenticator.sign_in(sent.token)
        response.set_cookie(
            cookie_name,
            cookie,
            max_age=SESSION_DAYS * 86_400,
            httponly=True,
            samesite="strict",
            secure=is_secure,
        )
        return {"csrf": csrf_token(cookie)}

    @app.delete(SESSION_PATH)
    def sign_out(request: Request, response: Response) -> dict[str, bool]:
        cookie = request.cookies.get(cookie_name)
        authenticator.reader_of(cookie)
        authenticator.sign_out(cookie or "")
        response.delete_cookie(cookie_name, httponly=True, samesite="strict", secure=is_secure)
        return {"left": True}
