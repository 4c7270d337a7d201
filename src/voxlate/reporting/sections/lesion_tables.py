"""Tables of the rows that an evaluation has per lesion or per tissue, with whatever columns they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxlate.evaluation.metrics import metric_of
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Html, tag
from voxlate.web.tables import Cell, Column, number_cell, table

MOST_ROWS = 300
"""Rows of one table that the report shows. Chosen by hand, for the size of the file; the others stay in the JSON."""

_MOST_COLUMNS = 10
"""Tables with more columns have smaller letters. Chosen by hand: so many fit into 1,100 pixels."""

_MOST_OPEN = 12
"""Longer tables are folded. Chosen by hand: about half a screen."""

KINDS = {
    "by_size": "Lesions by size, means over patients",
    "worst_case": "Cases to check first",
    "enhancement": "Enhancement: brightness relative to white matter",
    "lesion": "Each lesion",
    "structures": "False structures by case",
    "candidate": "Candidates found in the difference image",
    "no_reference": "Cases without reference tissue",
}
"""Kinds of rows of `voxlate.evaluation.lesions`, in the order of the report, with their headings."""

_HIDDEN = frozenset({"patient"})  # the report shows names of cases, never of patients
_UNITS = {"mm": "mm", "mm2": "mm²", "mm3": "mm³", "cm3": "cm³", "percent": "%", "db": "dB", "hu": "HU"}

Record = Mapping[str, Any]


def records_table(records: Sequence[Record], *, label: str, data_kind: str) -> Html | None:
    """Returns a table of flat records that a script can sort; None without records.

    The columns are the keys in the order of their first appearance; a suffix such as `_mm` or `_cm3` becomes the unit.
    All numbers of a column have the same decimals. The table shows at most `MOST_ROWS` records and says so.

    Args:
        records: rows with values that are texts, numbers, booleans or None.
        label: name of the table for screen readers.
        data_kind: `real`, `simulated` or `unknown`.
    """
    if not records:
        return None
    columns = [key for key in dict.fromkeys(key for record in records for key in record) if key not in _HIDDEN]
    numeric = {key for key in columns if all(_is_number(record.get(key)) for record in records)}
    decimals = {key: _decimals([record.get(key) for record in records]) for key in numeric}
    rows = [[_cell(record.get(key), decimals.get(key)) for key in columns] for record in records[:MOST_ROWS]]
    class_ = f"small sortable{' dense' if len(columns) > _MOST_COLUMNS else ''}"
    content = table(
        [Column(_title(key), is_number=key in numeric) for key in columns], rows, label=label, class_=class_
    )
    left_out = len(records) - MOST_ROWS
    more = f" The table shows the first {MOST_ROWS}; {left_out} more are in evaluation.json." if left_out > 0 else ""
    cases = len({record["case"] for record in records if "case" in record})
    of_cases = f" of {labels.count(cases, 'case')}" if cases else ""
    remark = f"{labels.count(len(records), 'row')}{of_cases}. {labels.DATA_KINDS[data_kind]}.{more}"
    return tag("div", content, note(remark))


def tables_by_kind(records: Sequence[Record], *, data_kind: str) -> Html | None:
    """Returns one table per kind of record, short tables open and long ones folded; None without records.

    Args:
        records: rows with the column `kind`.
        data_kind: `real`, `simulated` or `unknown`.
    """
    kinds = dict.fromkeys(str(record.get("kind", "")) for record in records)
    known = [kind for kind in KINDS if kind in kinds]
    parts = []
    for kind in [*known, *(kind for kind in kinds if kind not in KINDS)]:
        inside = [_without_kind(record) for record in records if str(record.get("kind", "")) == kind]
        title = KINDS.get(kind, kind.replace("_", " ").capitalize())
        content = records_table(inside, label=title or "Records", data_kind=data_kind)
        is_folded = len(inside) > _MOST_OPEN
        parts.append(
            _folded(f"{title}: {labels.count(len(inside), 'row')}", content)
            if is_folded
            else [tag("h3", title), content]
        )
    return tag("div", parts) if parts else None


def _folded(title: str, content: Html | None) -> Html:
    return tag("details", tag("summary", title), content)


def _without_kind(record: Record) -> Record:
    return {key: value for key, value in record.items() if key != "kind"}


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _decimals(values: Sequence[Any]) -> int:
    is_whole = all(value is None or isinstance(value, int) for value in values)
    return 0 if is_whole else labels.decimals_for(value for value in values if value is not None)


def _title(key: str) -> list[Html | str]:
    name, _, suffix = key.removeprefix("is_").removeprefix("has_").rpartition("_")
    if not name or suffix not in _UNITS:
        name, suffix = "_".join(part for part in (name, suffix) if part), ""
    first, *others = name.split("_")
    title = " ".join([metric_of(first).label, *others])
    return [f"{title} ", tag("small", _UNITS[suffix])] if suffix else [title]


def _cell(value: Any, decimals: int | None) -> Cell:
    if decimals is not None:
        return number_cell(value, labels.number(value, decimals))
    if value is None or isinstance(value, bool):
        return Cell({True: "yes", False: "no", None: labels.MISSING}[value])
    return Cell(labels.without_paths(str(value)))
