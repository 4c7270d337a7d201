"""The keys of the re-grading page: each has one meaning on the whole page."""

from __future__ import annotations

from voxlate.web.keyboard import SCROLL, ZOOM, Shortcut, digits

SHORTCUTS = (
    *SCROLL,
    Shortcut("tileBefore", ("ArrowLeft",), "←"),
    Shortcut("tileAfter", ("ArrowRight",), "→"),
    *ZOOM,
    Shortcut("background", ("b",), "B"),
    Shortcut("enlarge", ("e",), "E"),
    Shortcut("reset", ("r",), "R"),
    digits(0, 3),
    Shortcut("submit", ("Enter",), "Enter", "answer"),
    Shortcut("before", ("PageUp",), "PgUp", "answer"),
    Shortcut("after", ("PageDown",), "PgDn", "answer"),
)
