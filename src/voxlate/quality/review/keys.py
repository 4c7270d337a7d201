"""The keys of the re-grading page: each has one meaning on the whole page."""

from __future__ import annotations

from voxlate.web.keyboard import Shortcut, digits

SHORTCUTS = (
    Shortcut("scrollUp", ("ArrowUp",), "↑"),
    Shortcut("scrollDown", ("ArrowDown",), "↓"),
    Shortcut("toFirst", ("Home",), "Home"),
    Shortcut("toLast", ("End",), "End"),
    Shortcut("tileBefore", ("ArrowLeft",), "←"),
    Shortcut("tileAfter", ("ArrowRight",), "→"),
    Shortcut("zoomIn", ("+",), "+"),
    Shortcut("zoomOut", ("-",), "−"),
    Shortcut("background", ("b",), "B"),
    Shortcut("enlarge", ("e",), "E"),
    Shortcut("reset", ("r",), "R"),
    digits(0, 3),
    Shortcut("submit", ("Enter",), "Enter", "answer"),
    Shortcut("before", ("PageUp",), "PgUp", "answer"),
    Shortcut("after", ("PageDown",), "PgDn", "answer"),
)
