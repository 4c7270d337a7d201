"""What is known of each series: its row of the index, its grades, and what a person said of it, which outranks both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Scan = dict[str, Any]
TIERS = ("good", "medium", "low")

GRADED_COLUMNS: tuple[str, ...] = ("state", "tier", "verdict", "failed", "noted", "pixel_kind", "agent_by", "content")
GRADED_COLUMNS += ("pass_probability", "proper_probability", "agent_probability", "low_probability")
GRADED_COLUMNS += ("grade_contrast", "grade_motion", "grade_noise", "graded_by")


def join_grades(
    index: Iterable[Mapping[str, Any]],
    grades: Iterable[Mapping[str, Any]],
    persons: Mapping[str, Mapping[str, Any]] | None = None,
    stamps: Mapping[str, str] | None = None,
) -> list[Scan]:
    """Returns one row for each series of the index, with every column of `GRADED_COLUMNS`, missing ones as None.

    Args:
        index: rows of `read_table`.
        grades: what `read_grades` gives; what it says of `kind` and `agent` replaces the header's, which stays as
            `header_kind` and `header_agent`.
        persons: by series, what a person said: `tier`, `agent`, the grades, and `content`, the picture it was said of.
        stamps: by series, of its files now; grades of other files do not count.
    """
    by_series = {str(each["item"]["name"]): each for each in grades}
    result = []
    for row in index:
        scan: Scan = dict(row) | dict.fromkeys(GRADED_COLUMNS)
        scan |= {"header_kind": row["kind"], "header_agent": row["agent"]}
        scan["stamp"] = (stamps or {}).get(str(row["series"]), "")
        known = by_series.get(str(row["series"]))
        if known is not None and not str(known["item"].get("stamp", "")).startswith(scan["stamp"]):
            scan["state"] = "STALE"  # graded when the series had other files
        elif known is not None:
            told = known.get("row", {})
            scan |= {name: told[name] for name in (*GRADED_COLUMNS, "kind", "agent") if name in told}
            scan |= {"state": known["state"], "content": known.get("content"), "graded_by": "voxlate"}
        person = (persons or {}).get(str(row["series"]))
        if person and person.get("content") in (None, scan["content"]):
            scan |= dict(person) | {"graded_by": "person", "content": scan["content"]}
        result.append(scan)
    return sorted(result, key=lambda each: (each["patient"], each["study"], each["series"]))
