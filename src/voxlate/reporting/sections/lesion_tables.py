"""Tables of what the evaluation lists per lesion or per tissue, whatever columns it has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from voxlate.evaluation.metrics import metric_of
from voxlate.reporting.sections.quality import scrolling
from voxlate.web import labels
from voxlate.web.html import Html, tag

MOST_ROWS = 300
_MOST_OPEN = 12
KINDS = {
    "by_size": "Lesions by size, means over patients",
    "worst_case": "Cases to look at first",
    "enhancement": "Enhancement: brightness relative to white matter",
    "lesion": "Each lesion",
    "structures": "False structures by case",
    "candidate": "Candidates found in the difference image",
    "no_reference": "Cases without tissue to compare with",
}
"""The kinds of records of `voxlate.evaluation.lesions`, in the order in which they are shown."""

_HIDDEN = frozenset({"patient"})  # a case name is shown, a patient's is not
_UNITS = {"mm": "mm", "mm2": "mm²", "mm3": "mm³", "cm3": "cm³", "percent": "%", "db": "dB", "hu": "HU"}

Record = Mapping[str, Any]


def table(records: Sequence[Record], *, label: str, data_kind: str) -> Html | None:
    """Returns a table of flat records, sortable by a script; nothing when there are none.

    Columns are the keys in order of first appearance, a unit suffix (`_mm`, `_cm3`) set apart. Numbers of a
    column share their decimals. Of very long lists the first `MOST_ROWS` are shown, and it is said.
    """
    if not records:
        return None
    columns = [key for key in dict.fromkeys(key for record in records for key in record) if key not in _HIDDEN]
    numeric = {key for key in columns if all(_is_number(record.get(key)) for record in records)}
    decimals = {key: _decimals([record.get(key) for record in records]) for key in numeric}
    head = [tag("th", _title(key), scope="col", class_="num" if key in numeric else None) for key in columns]
    lines = [
        tag("tr", [_cell(record.get(key), decimals.get(key)) for key in columns]) for record in records[:MOST_ROWS]
    ]
    content = tag("table", tag("thead", tag("tr", head)), tag("tbody", lines), class_="small sortable")
    left_out = len(records) - MOST_ROWS
    more = f" The first {MOST_ROWS} are shown; {left_out} more are in evaluation.json." if left_out > 0 else ""
    cases = len({record["case"] for record in records if "case" in record})
    of_cases = f" of {labels.count(cases, 'case')}" if cases else ""
    note = f"{labels.count(len(records), 'row')}{of_cases}. {labels.DATA_KINDS[data_kind]}.{more}"
    return tag("div", scrolling(content, label=label), tag("p", note, class_="note"))


def tables_by_kind(records: Sequence[Record], *, data_kind: str) -> Html | None:
    """Returns one table per `kind` of record under its heading, summaries open and long lists folded."""
    kinds = dict.fromkeys(str(record.get("kind", "")) for record in records)
    known = [kind for kind in KINDS if kind in kinds]
    parts = []
    for kind in [*known, *(kind for kind in kinds if kind not in KINDS)]:
        inside = [_without_kind(record) for record in records if str(record.get("kind", "")) == kind]
        title = KINDS.get(kind, kind.replace("_", " ").capitalize())
        content = table(inside, label=title or "Records", data_kind=data_kind)
        is_folded = len(inside) > _MOST_OPEN
        parts.append(_folded(f"{title}: {len(inside)} rows", content) if is_folded else [tag("h3", title), content])
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


def _cell(value: Any, decimals: int | None) -> Html:
    if decimals is None:
        text = {True: "yes", False: "no", None: labels.MISSING}.get(value) if _is_word(value) else None
        return tag("td", labels.without_paths(str(value)) if text is None else text)
    key = f"{value:.9g}" if value is not None and math.isfinite(value) else None
    return tag("td", labels.number(value, decimals), class_="num", data_value=key)


def _is_word(value: object) -> bool:
    return value is None or isinstance(value, bool)
