"""HTML elements as strings; text is escaped when it enters an element, unless it is already `Html`."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as _escape

_VOID = frozenset({"br", "col", "img", "link", "meta"})


class Html(str):
    """Text that is markup already and is not escaped."""

    __slots__ = ()


Child = Html | str | int | float | None | Iterable["Child"]
Attribute = str | int | float | bool | None


def tag(element: str, /, *children: Child, **attributes: Attribute) -> Html:
    """Returns an element.

    Args:
        element: name of the element.
        *children: content; each is escaped unless it is `Html`.
        **attributes: a trailing underscore of a name is dropped and the others become hyphens (`class_`, `data_value`).
            Values are escaped. `None` and `False` leave an attribute out; `True` gives it without a value.

    Example:
        >>> tag("p", "1 < 2", class_="note")
        '<p class="note">1 &lt; 2</p>'
    """
    opening = f"<{element}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if element in _VOID:
        return Html(opening)
    return Html(f"{opening}{join(children)}</{element}>")


def join(children: Child) -> Html:
    """Returns the children as one piece of markup, each escaped unless it is `Html`; `None` gives an empty text."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, (str, int, float)):
        return Html(_escape(str(children), quote=False))
    return Html("".join(join(child) for child in children))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{_escape(str(value))}"'
