"""Table of a cohort, as papers print it: patients, field strengths, manufacturers, models, sex and age by split.

Bottani et al. 2024 state for their 614 images how many were acquired at 3 T and at 1.5 T, on scanners of which
manufacturer, and on how many models. The columns are the whole cohort and each of its parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev

from voxlate.cohort.pairing import Pair
from voxlate.cohort.series_rows import SeriesRow

TABLE = "cohort_table.tsv"
NOT_STATED = "not stated"


def cohort_table(parts: Mapping[str, Sequence[Pair]], *, source: str, target: str | None) -> list[list[str]]:
    """Returns the table with its header row: columns `characteristic`, `value`, `all`, and one for each part.

    Args:
        parts: pairs by split or test set, or single scans by quality, in order.
        source: contrast of the sources.
        target: contrast of the targets, None for single scans.
    """
    columns = {"all": [pair for pairs in parts.values() for pair in pairs], **parts}
    images = {name: _images(pairs) for name, pairs in columns.items()}
    people = {name: _people(pairs) for name, pairs in columns.items()}
    rows = [
        ["patients", "", *(str(len(each)) for each in people.values())],
        ["pairs" if target else "scans to translate", "", *(str(len(pairs)) for pairs in columns.values())],
        ["images", "", *(str(len(each)) for each in images.values())],
        *_counts("images by contrast", {name: _contrasts(each, source, target) for name, each in columns.items()}),
        *_counts("images by field strength", {name: Counter(map(_field, each)) for name, each in images.items()}),
        *_counts("images by manufacturer", {name: Counter(map(_maker, each)) for name, each in images.items()}),
        *_counts("models by manufacturer", {name: _models_by_maker(each) for name, each in images.items()}),
        *_counts("images by model", {name: Counter(map(_model, each)) for name, each in images.items()}),
        *_counts("patients by sex", {name: Counter(map(_sex, each)) for name, each in people.items()}),
    ]
    ages = {name: _ages(each) for name, each in people.items()}
    for value, figure in _AGE_FIGURES.items():
        rows.append(["age in years", value, *(figure(each) for each in ages.values())])
    return [["characteristic", "value", *columns], *rows]


def _mean_sd(ages: Sequence[float]) -> str:
    return "" if not ages else f"{mean(ages):.1f}" if len(ages) == 1 else f"{mean(ages):.1f} ± {stdev(ages):.1f}"


def _range(ages: Sequence[float]) -> str:
    return f"{min(ages):g} to {max(ages):g}" if ages else ""


_AGE_FIGURES: Mapping[str, Callable[[Sequence[float]], str]] = {
    "mean ± SD": _mean_sd,
    "range (89 is 89 or more)": _range,
    "patients with a known age": lambda ages: str(len(ages)),
}


def _counts(characteristic: str, counts: Mapping[str, Counter[str]]) -> list[list[str]]:
    """Returns one row for each value, the most frequent in the whole cohort first."""
    values = sorted(counts["all"], key=lambda value: (value == NOT_STATED, -counts["all"][value], value))
    return [[characteristic, value, *(str(count[value]) for count in counts.values())] for value in values]


def _images(pairs: Sequence[Pair]) -> list[SeriesRow]:
    """Returns each series once, though two pairs may share one."""
    scans = [scan for pair in pairs for _, scan in pair.sides]
    return list({scan["series"]: scan for scan in scans}.values())


def _people(pairs: Sequence[Pair]) -> list[SeriesRow]:
    """Returns the earliest source of each patient, with age and sex; one of an unknown day counts as the earliest."""
    first: dict[str, SeriesRow] = {}
    for pair in sorted(pairs, key=lambda pair: pair.source["day"] or ""):
        first.setdefault(pair.patient, pair.source)
    return list(first.values())


def _contrasts(pairs: Sequence[Pair], source: str, target: str | None) -> Counter[str]:
    contrasts = {"source": source, "target": target or ""}
    images = {(contrasts.get(name, name), scan["series"]): None for pair in pairs for name, scan in pair.sides}
    return Counter(name for name, _ in images)


def _field(scan: SeriesRow) -> str:
    """Returns the nominal field strength: scanners of 3 T state values such as 2.89."""
    field = scan["field_tesla"]
    return NOT_STATED if field is None else f"{round(field * 2) / 2:g} T"


def _maker(scan: SeriesRow) -> str:
    return scan["manufacturer"] or NOT_STATED


def _model(scan: SeriesRow) -> str:
    return NOT_STATED if scan["model"] is None else f"{_maker(scan)} {scan['model']}"


def _models_by_maker(scans: Sequence[SeriesRow]) -> Counter[str]:
    return Counter(maker for maker, _ in {(_maker(scan), scan["model"]) for scan in scans if scan["model"] is not None})


def _sex(scan: SeriesRow) -> str:
    return scan["sex"] or NOT_STATED


def _ages(people: Sequence[SeriesRow]) -> list[float]:
    return [scan["age_years"] for scan in people if scan["age_years"] is not None]
