"""Subgroups of simulated cases, from the truth beside their scans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from voxlate.cases import Case
from voxlate.io.tables import read_rows

_TIERS = ("good", "medium", "low")


def factors_files(folder: Path, cases: Iterable[Case]) -> Iterator[tuple[str, Path]]:
    """Yields the names of cases, each with its `<case>_factors.json` in a folder of a simulation's truth or below."""
    case_of_file = {f"{case.case}_factors.json": case.case for case in cases}
    for path in sorted(folder.rglob("*_factors.json")):
        if path.name in case_of_file:
            yield case_of_file[path.name], path


def simulated_groups(factors: Mapping[str, object], lesions: Path) -> dict[str, str]:
    """Returns scanner, field strength, age, quality of the worst image and kinds of lesion, where they are stated.

    Args:
        factors: content of `*_factors.json`.
        lesions: path of `*_lesions.tsv` beside it, which may not exist.

    Raises:
        InputRefused: `FACTORS` when the table of lesions cannot be read.
    """
    head = factors.get("head")
    age = head.get("age_years") if isinstance(head, Mapping) else None
    field_t = factors.get("field_tesla")
    groups = {
        "scanner": factors.get("scanner"),
        "field_t": None if field_t is None else f"{field_t:g}",
        "age_years": None if age is None else f"{age:.1f}",
        "quality": _worst_tier(factors.get("acquisitions")),
        "lesion_type": _kinds(lesions),
    }
    return {name: str(value) for name, value in groups.items() if value is not None}


def _worst_tier(acquisitions: object) -> str | None:
    """Returns `good`, `medium`, `low` or `improper`, by the worst grade of the worst image."""
    if not isinstance(acquisitions, Mapping) or not acquisitions:
        return None
    worst = 0
    for acquisition in acquisitions.values():
        grades = dict(acquisition.get("grades", {}))
        if grades.pop("improper", ""):
            return "improper"
        worst = max([worst, *(int(grade) for grade in grades.values())])
    return _TIERS[min(worst, len(_TIERS) - 1)]


def _kinds(path: Path) -> str | None:
    if not path.is_file():
        return None
    kinds = {row["kind"] for row in read_rows(path, code="FACTORS", needed=("kind",)) if row["kind"]}
    return " and ".join(sorted(kinds)) or "none"
