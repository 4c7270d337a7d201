"""Tables of the rows that an evaluation has per lesion or per tissue, with whatever columns they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxlate.evaluation.lesions.labelled import BRIGHT_INDEX, DARK_INDEX, KEPT_SHARE
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

CRITERIA = {
    "false_structures_mm3": "volume of false structures, mm³",
    "leftovers_mm3": "volume of leftovers, mm³",
    "mae_synthetic": "largest MAE of a lesion, % of L",
}
"""Criteria of the cases to check first, as the report shows them."""

_SIZE = "Size: diameter of a sphere of the same volume."
_KEPT = (
    "Index: mean over that of white matter in the same image. Bright: an index of at least "
    f"{BRIGHT_INDEX:g} in the target; dark: of at most {DARK_INDEX:g}; kept: at least {100 * KEPT_SHARE:g} % of this "
    "contrast to white matter is left in the synthetic image."
)
_REACHED = "Share reached: of the change from source to target, 0 as in the source, 1 as in the target."
_KIND_NOTES = {
    "by_size": f"{_SIZE} {_KEPT} {_REACHED}",
    "worst_case": "Leftovers: parts in which the synthetic image differs from the target as the source does.",
    "enhancement": f"Index: mean over that of white matter in the same image. {_REACHED}",
    "lesion": f"{_SIZE} {_KEPT} {_REACHED}",
    "structures": "Candidates: parts in which source and target differ by more than the threshold (in the unit of "
    "comparison). False structures: in neither source nor target; false enhancements: those brighter than the target. "
    "Leftovers: parts in which the synthetic image differs from the target as the source does.",
    "candidate": f"{_SIZE} Change: target minus source, in the unit of comparison. {_REACHED}",
}
_TITLES = {
    "n": ("Patients", ""),
    "n_lesions": ("Lesions", ""),
    "n_patients": ("Patients", ""),
    "n_bright_in_target": ("Bright in target", ""),
    "n_bright_kept": ("Bright, kept", ""),
    "n_dark_in_target": ("Dark in target", ""),
    "n_dark_kept": ("Dark, kept", ""),
    "mae_source": ("MAE source", "% of L"),
    "mae_synthetic": ("MAE synthetic", "% of L"),
    "voxel": ("Voxel i, j, k", ""),
    "mean_tiv_cm3": ("Mean TIV", "cm³"),
    "icc_2_1": ("ICC(2,1)", ""),
    "icc_3_1": ("ICC(3,1)", ""),
    "equivalence_p": ("p of equivalence", ""),
}
"""Title and unit of columns whose names do not say them."""

_AGREEMENT = (
    "Volumes over patients, image minus target: bias and limits of agreement (bias ± 1.96 SD), intraclass correlations "
    "of absolute agreement (2,1) and consistency (3,1), Lin's concordance, and the p of two one-sided tests of "
    "equivalence within the margin. The intervals are in evaluation.json."
)

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
    rows = [
        [_cell(_shown(key, record.get(key)), decimals.get(key)) for key in columns] for record in records[:MOST_ROWS]
    ]
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
        content = tag(
            "div",
            records_table(inside, label=title or "Records", data_kind=data_kind),
            note(_KIND_NOTES[kind]) if kind in _KIND_NOTES else None,
        )
        is_folded = len(inside) > _MOST_OPEN
        parts.append(
            _folded(f"{title}: {labels.count(len(inside), 'row')}", content)
            if is_folded
            else [tag("h3", title), content]
        )
    return tag("div", parts) if parts else None


def agreement_table(records: Sequence[Record], *, data_kind: str) -> Html | None:
    """Returns the agreement of volumes with the target's, one row per segmenter, method and tissue; None without rows.

    Args:
        records: rows of `voxlate.evaluation.tissues.volume_agreement`; those with a note become a sentence.
        data_kind: `real`, `simulated` or `unknown`.
    """
    computed = [record for record in records if not record["note"]]
    reasons = dict.fromkeys(record["note"] for record in records if record["note"])
    parts = [note(f"{reason[:1].upper()}{reason[1:]}.") for reason in reasons]
    content = records_table([_flat(record) for record in computed], label="Agreement", data_kind=data_kind)
    if content is not None:
        parts = [content, note(_AGREEMENT), *parts]
    return tag("div", parts) if parts else None


def _flat(record: Record) -> Record:
    """Returns an `agreement` row with one number per column; the intervals stay in the JSON."""
    limits, equal = record["bland_altman"], record["equivalence"]
    return {
        **{key: record[key] for key in ("segmenter", "method", "tissue", "n")},
        "bias_cm3": limits["bias"],
        "lower_limit_cm3": limits["lower"],
        "upper_limit_cm3": limits["upper"],
        "icc_2_1": record["icc_2_1"][0],
        "icc_3_1": record["icc_3_1"][0],
        "concordance": record["concordance"],
        "margin_cm3": equal["margin_cm3"],
        "equivalence_p": equal["p"],
    }


def _shown(key: str, value: Any) -> Any:
    """Returns a value as the report shows it: methods and criteria by their labels."""
    if key == "method":
        return labels.method(str(value))
    return CRITERIA.get(str(value), value) if key == "criterion" else value


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
    if key in _TITLES:
        title, unit = _TITLES[key]
        return [f"{title} ", tag("small", unit)] if unit else [title]
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
