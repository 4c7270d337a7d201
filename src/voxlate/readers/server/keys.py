"""The keys of the page of a reader study: each has one meaning on the whole page, in the images and in the answer."""

from __future__ import annotations

from voxlate.readers.study import PAIRED_KINDS, Design, Display
from voxlate.web.keyboard import SCROLL, ZOOM, Shortcut, digits, lettered

_IMAGES = (
    *SCROLL,
    Shortcut("cyclePlanes", ("x",), "X"),
    *ZOOM,
    Shortcut("fit", ("=",), "="),
    Shortcut("invert", ("i",), "I"),
    Shortcut("reset", ("r",), "R"),
    Shortcut("toViewer", ("Escape",), "Esc"),
)
_NEXT_PANEL = Shortcut("nextPanel", ("p",), "P")
_NOT_ASSESSABLE = Shortcut("notAssessable", ("n",), "N", "answer")
_MARK = Shortcut("mark", ("m",), "M", "answer")
_ANSWER = (
    Shortcut("toAnswer", ("a",), "A", "answer"),
    Shortcut("submit", ("Enter",), "Enter", "answer"),
    Shortcut("instructions", ("?",), "?", "answer"),
)


def shortcuts(design: Design, display: Display) -> list[Shortcut]:
    """Returns the keys of a design; the windows have letters that no key of any design uses."""
    windows = lettered(
        "preset",
        [preset.name for preset in display.presets],
        (*_IMAGES, _NEXT_PANEL, _NOT_ASSESSABLE, _MARK, *_ANSWER),
    )
    own = {"similarity": (_NOT_ASSESSABLE,), "marks": (_MARK,)}.get(design.kind, ())
    panel = (_NEXT_PANEL,) if design.kind in PAIRED_KINDS else ()
    return [*_IMAGES, *panel, *windows, _digits(design), *own, *_ANSWER]


def _digits(design: Design) -> Shortcut:
    match design.kind:
        case "similarity":
            return digits(0, 9)
        case "forced_choice":
            return digits(1, 2)
    return digits(1, design.levels)
