"""Tables of keyboard shortcuts: what the listener of a page acts on, what its help shows, and what tests check."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Shortcut:
    """One action of a page and its keys.

    Attributes:
        action: name of the function of the page.
        keys: as `KeyboardEvent.key` spells them; letters in lower case.
        shown: how the help writes them.
        about: whether they concern the images or the answer.
        text: the meaning, where it is no word of the page, such as the name of a window.
    """

    action: str
    keys: tuple[str, ...]
    shown: str
    about: Literal["images", "answer"] = "images"
    text: str = ""


SCROLL = (
    Shortcut("scrollUp", ("ArrowUp",), "↑"),
    Shortcut("scrollDown", ("ArrowDown",), "↓"),
    Shortcut("toFirst", ("Home",), "Home"),
    Shortcut("toLast", ("End",), "End"),
)
"""Through the slices of an image; the same keys on every page."""

ZOOM = (Shortcut("zoomIn", ("+",), "+"), Shortcut("zoomOut", ("-",), "−"))
"""The same keys on every page."""


def digits(first: int, last: int) -> Shortcut:
    """Returns the shortcut by which the digits from `first` to `last` choose an answer."""
    keys = tuple(str(digit) for digit in range(first, last + 1))
    return Shortcut("choose", keys, f"{first} … {last}" if last > first + 1 else " ".join(keys), "answer")


def lettered(action: str, names: Sequence[str], taken: Iterable[Shortcut]) -> list[Shortcut]:
    """Returns a shortcut for each name: a letter of it that is still free, else the first free letter of the alphabet.

    Args:
        action: of all of them.
        names: at most as many as there are free letters.
        taken: other shortcuts of the page.

    Example:
        >>> [each.shown for each in lettered("preset", ["full", "flat"], [Shortcut("last", ("l",), "L")])]
        ['F', 'A']
    """
    used = {key for shortcut in taken for key in shortcut.keys}
    made = []
    for name in names:
        letter = next(letter for letter in name.lower() + string.ascii_lowercase if _is_free(letter, used))
        used.add(letter)
        made.append(Shortcut(action, (letter,), letter.upper(), text=name))
    return made


def to_json(shortcuts: Iterable[Shortcut]) -> list[dict[str, Any]]:
    """Returns a table as the page gets it."""
    return [asdict(shortcut) for shortcut in shortcuts]


def _is_free(letter: str, used: set[str]) -> bool:
    return letter in string.ascii_lowercase and letter not in used
