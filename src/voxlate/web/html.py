"""Markup that is safe by construction: whatever is not `Html` is escaped where it enters a tag."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as _escape

_VOID = frozenset({"br", "col", "img", "link", "meta"})


class Html(str):
    """Text that is already markup and is not escaped again."""

    __slots__ = ()


Child = Html | str | int | float | None | Iterable["Child"]
Attribute = str | int | float | bool | None


def tag(element: str, /, *children: Child, **attributes: Attribute) -> Html:
    """Returns an element; children and attribute values are escaped unless they are `Html`.

    A last underscore in an attribute's name is dropped and the others become hyphens (`class_`,
    `data_value`). `None` and `False` leave an attribute out, `True` gives it without a value.
    """
    opening = f"<{element}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if element in _VOID:
        return Html(opening)
    return Html(f"{opening}{join(children)}</{element}>")


def join(children: Child) -> Html:
    """Returns the children one after the other, each escaped unless it is `Html`; `None` gives nothing."""
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
