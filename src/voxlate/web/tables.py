"""HTML tables of the reports: columns, rows, groups of rows, and tables of facts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxlate.web.html import Child, Html, tag


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: heading.
        is_number: whether heading and cells are aligned to the right, and sorted as numbers.
        is_row_header: whether the cells are the headings of their rows.
        class_: further CSS classes of heading and cells.
    """

    title: Child
    is_number: bool = False
    is_row_header: bool = False
    class_: str = ""

    @property
    def classes(self) -> str | None:
        """CSS classes of heading and cells; None without any."""
        return _joined("num" if self.is_number else "", self.class_)


@dataclass(frozen=True)
class Cell:
    """A cell with more than its content.

    Attributes:
        content: what the cell shows.
        class_: CSS classes beside those of the column.
        sort_value: the number or text that the table is sorted by; None for the content.
        hint: text shown when the pointer rests on the cell.
    """

    content: Child
    class_: str = ""
    sort_value: float | str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Group:
    """Rows under a heading of their own."""

    title: str
    rows: Sequence[Sequence[Child | Cell]]


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Child | Cell] | Group],
    *,
    label: str,
    class_: str | None = None,
    spans: Sequence[tuple[Child, int]] = (),
) -> Html:
    """Returns a table in a box that scrolls sideways on a narrow screen and can be reached with the keyboard.

    Args:
        columns: headings and alignment.
        rows: rows with one cell per column, or groups of such rows.
        label: name of the table for screen readers.
        class_: CSS classes: `sortable`, `small`, `stack` (one cell per line on a narrow screen) or a table's own.
        spans: headings above the headings, each with the number of its columns; an empty one is None.
    """
    above = tag("tr", [_span(title, count) for title, count in spans], class_="groups") if spans else None
    titles = tag("tr", [tag("th", column.title, scope="col", class_=column.classes) for column in columns])
    bodies: list[Html] = []
    plain: list[Html] = []
    for row in rows:
        if isinstance(row, Group):
            bodies.append(_group(row, columns))
        else:
            plain.append(_row(row, columns, is_stacked="stack" in (class_ or "").split()))
    if plain or not bodies:
        bodies.append(tag("tbody", plain))
    content = tag("table", tag("thead", above, titles), bodies, class_=class_)
    return tag("div", content, class_="scroll", role="region", aria_label=label, tabindex=0)


def facts_table(facts: Iterable[tuple[str, str]]) -> Html:
    """Returns a table with one fact per row: its name and its value, such as a hash."""
    lines = [tag("tr", tag("th", name, scope="row"), tag("td", value, class_="hash")) for name, value in facts]
    return tag("table", tag("tbody", lines), class_="provenance stack")


def number_cell(value: float | None, content: Child) -> Cell:
    """Returns a cell that shows `content` and is sorted by `value`; values that are not finite come last."""
    is_finite = value is not None and math.isfinite(value)
    return Cell(content, sort_value=f"{value:.9g}" if is_finite else None)


def _group(group: Group, columns: Sequence[Column]) -> Html:
    title = tag("th", group.title, scope="rowgroup", colspan=len(columns))
    return tag("tbody", tag("tr", title, class_="group"), [_row(row, columns) for row in group.rows])


def _row(cells: Sequence[Child | Cell], columns: Sequence[Column], *, is_stacked: bool = False) -> Html:
    pairs = zip(cells, columns, strict=True)
    return tag("tr", [_cell(cell, column, is_stacked=is_stacked) for cell, column in pairs])


def _cell(cell: Child | Cell, column: Column, *, is_stacked: bool) -> Html:
    """Returns a cell; where cells may lie below each other, each carries the heading of its column."""
    if not isinstance(cell, Cell):
        cell = Cell(cell)
    classes = _joined(column.classes or "", cell.class_)
    if column.is_row_header:
        return tag("th", cell.content, scope="row", class_=classes, title=cell.hint)
    label = column.title if is_stacked and type(column.title) is str else None
    return tag("td", cell.content, class_=classes, data_value=cell.sort_value, data_label=label, title=cell.hint)


def _span(title: Child, count: int) -> Html:
    if title is None:
        return tag("td", colspan=count if count > 1 else None)
    return tag("th", title, colspan=count, scope="colgroup")


def _joined(*classes: str) -> str | None:
    return " ".join(name for name in classes if name) or None
