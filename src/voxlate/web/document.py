"""The frame of every page: one language, one style, nothing loaded from anywhere but what is named."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from voxlate.web.html import Html, tag


def document(title: str, body: Html, *, images: str = "data:") -> str:
    """Returns a whole page as text.

    Args:
        title: of the window.
        body: the element `body`.
        images: where pictures may come from, in the words of a content security policy: `data:` for a page that
            holds them itself, `'self'` for files beside it.
    """
    return "<!doctype html>\n" + tag("html", head(title, images=images), body, lang="en") + "\n"


def head(title: str, *, images: str = "data:") -> Html:
    """Returns the element `head` with style and policy."""
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(images)),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        tag("style", Html(asset("document.css"))),
    )


def script() -> Html:
    """Returns the script that makes tables sortable."""
    return tag("script", Html(asset("document.js")))


def policy(images: str) -> str:
    """Returns a policy under which a browser loads nothing from anywhere and runs no script but ours."""
    digest = base64.b64encode(hashlib.sha256(asset("document.js").encode()).digest()).decode("ascii")
    sources = f"img-src {images}; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {sources}; base-uri 'none'"


def asset(name: str) -> str:
    """Returns a file of the folder `assets`."""
    return (resources.files("voxlate.web") / "assets" / name).read_text(encoding="utf-8")
