"""HTML documents of the reports: one frame, one style, and a policy that lets a browser load nothing else.

A document holds its style, its script and, unless told otherwise, its images, so that it can be mailed or archived as
one file. Its content security policy forbids everything that is not in the file.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from voxlate.errors import UsageError
from voxlate.web.html import Child, Html, join, tag

WARNING_TITLE = "Synthetic images. Not for diagnosis."
WARNING = "A model computed the images called synthetic, for research only: they can hide or invent findings."

REPORT_TITLE = "voxlate report"
"""End of the title of each report, by which one that may be replaced is known; it must not change."""

_HEAD_BYTES = 16 * 1024
"""The title stands in the first kilobyte, behind the content security policy; a title may be long."""


@dataclass(frozen=True)
class Section:
    """A part of a document.

    Attributes:
        name: id of the section, unique in the document.
        title: heading.
        content: body of the section; the document leaves out a section whose content is empty.
        about: what a folded section holds, in a few words; a section with it opens on a click or by a link to it.
    """

    name: str
    title: str
    content: Child
    about: str = ""


def document(
    title: str,
    header: Html,
    sections: Sequence[Section],
    *,
    footer: str = "",
    images: str = "data:",
    is_wide: bool = False,
) -> str:
    """Returns a whole HTML document.

    Args:
        title: of the browser window.
        header: see `header`.
        sections: shown in this order, with a list of contents if there are several.
        footer: one paragraph at the end.
        images: sources of images in the content security policy: `data:` for images inside the file, `'self'` for
            files beside it.
        is_wide: whether the document uses the width of a large screen.
    """
    shown = [section for section in sections if section.content]
    body = tag(
        "body",
        tag("a", "Skip to the content", href=f"#{shown[0].name}", class_="skip") if shown else None,
        header,
        _contents(shown) if len(shown) > 1 else None,
        tag("main", [_section(section) for section in shown]),
        tag("footer", tag("p", footer)) if footer else None,
        tag("script", Html(asset("document.js"))),
        class_="wide" if is_wide else None,
    )
    return "<!doctype html>\n" + tag("html", _head(title, images), body, lang="en") + "\n"


def require_report_path(path: Path) -> None:
    """Refuses a place where a report cannot be, or that holds something else than a report.

    Args:
        path: of the report to be written.

    Raises:
        UsageError: `OUTPUT_NAME` for another suffix than `.html`; `OUTPUT_EXISTS`.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError("OUTPUT_NAME", f"{path.name}: a report is an HTML file; name it {path.stem}.html")
    if path.is_dir() or (path.is_file() and not _is_report(path)):
        raise UsageError("OUTPUT_EXISTS", f"{path.name} exists and is no report of voxlate; name another output")


def _is_report(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(_HEAD_BYTES).decode("utf-8", "replace")
    return start.startswith("<!doctype html>") and f"{REPORT_TITLE}</title>" in start


def header(title: str, facts: Sequence[str], *more: Child, is_synthetic: bool = True) -> Html:
    """Returns the header of a document.

    Args:
        title: main heading.
        facts: short facts in a row, such as `9 patients`.
        *more: further elements.
        is_synthetic: whether the document shows synthetic images or answers about them, and so begins with a warning.
    """
    banner = warning_banner(tag("b", WARNING_TITLE), f" {WARNING}") if is_synthetic else None
    return tag("header", banner, tag("h1", title), tag("ul", [tag("li", fact) for fact in facts], class_="facts"), more)


def warning_banner(*content: Child) -> Html:
    """Returns a highlighted paragraph."""
    return tag("p", content, class_="banner", role="note")


def note(text: str) -> Html:
    """Returns a paragraph in small type, for definitions and remarks under a table or a figure."""
    return tag("p", text, class_="note")


def asset(name: str) -> str:
    """Returns the text of a file in the folder `assets`."""
    return (resources.files("voxlate.web") / "assets" / name).read_text(encoding="utf-8")


def _contents(sections: Sequence[Section]) -> Html:
    links = [tag("li", tag("a", section.title, href=f"#{section.name}")) for section in sections]
    return tag("nav", tag("ul", links), aria_label="Contents")


def _section(section: Section) -> Html:
    title = tag("h2", section.title)
    if not section.about:
        return tag("section", title, join(section.content), id=section.name)
    line = tag("summary", title, tag("span", section.about, class_="about"))
    return tag("section", tag("details", line, join(section.content), class_="fold"), id=section.name)


def _head(title: str, images: str) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(images)),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        tag("style", Html(asset("document.css"))),
    )


def _policy(images: str) -> str:
    """Returns a content security policy that allows these images, the style, and no script but `document.js`."""
    digest = base64.b64encode(hashlib.sha256(asset("document.js").encode()).digest()).decode("ascii")
    sources = f"img-src {images}; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {sources}; base-uri 'none'"
