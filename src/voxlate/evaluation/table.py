"""From one figure per case to what a table prints: means over patients, and tests between methods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.statistics import (
    MINIMUM_PATIENTS,
    cohen_dz,
    holm,
    mean_interval,
    paired_t,
    sign_flip,
    wilcoxon,
)

OURS = "synthetic"
OPPONENTS = ("source", "histogram_match")
"""What the synthetic image is tested against. The blurred target is made from the answer, so it is no rival, and of a
constant it need not be tested whether it is an image."""

ALPHA = 0.05
PRIMARY_REGION = "mask"
PRIMARY_METRICS = ("mae", "psnr", "ssim")
PRIMARY, EXPLORATORY = "primary", "exploratory"


class Row(NamedTuple):
    """One line of `scores.tsv`."""

    case: str
    patient: str
    method: str
    region: str
    metric: str
    value: float
    unit: str
    protocol: str
    intensity: str


class Place(NamedTuple):
    """What is compared between methods: the same metric in the same region by the same definition."""

    protocol: str
    intensity: str
    region: str
    metric: str


@dataclass(frozen=True)
class SummaryRow:
    """One metric of one method over the patients; infinite and missing values are left out of it.

    Attributes:
        n: patients with a finite value.
        low: lower end of the 95 % interval of the mean; None below three patients, as `high`.
        sd: standard deviation between patients; None for a single one.
        interval: how the interval was computed (`voxlate.evaluation.statistics.intervals`); empty without one.
    """

    protocol: str
    intensity: str
    region: str
    method: str
    metric: str
    unit: str
    n: int
    mean: float | None
    sd: float | None
    median: float | None
    low: float | None
    high: float | None
    interval: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same patients; differences are first − second.

    Attributes:
        ci_low: lower end of the 95 % interval of the mean difference, over patients.
        interval: how it was computed (`voxlate.evaluation.statistics.intervals`); empty without one.
        p_adjusted: `p_permutation` after Holm, over the `comparisons` of its family.
        family: `primary` (the one family of the run: MAE, PSNR and SSIM in the mask, by the first protocol, as
            written) or `exploratory` (all else; see `ScoreTable.compare`).
        effect_size: mean difference in standard deviations of the difference (Cohen's d_z).
        note: why there is no test, or what to know of it; empty otherwise.
    """

    protocol: str
    intensity: str
    region: str
    metric: str
    first: str
    second: str
    n: int
    mean_difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    interval: str = ""
    p_t: float | None = None
    p_wilcoxon: float | None = None
    p_permutation: float | None = None
    p_adjusted: float | None = None
    comparisons: int = 0
    family: str = EXPLORATORY
    effect_size: float | None = None
    note: str = ""


class ScoreTable:
    """All figures of a run, kept as numbers per place and method, so that thousands of cases take little memory."""

    def __init__(self, primary_protocol: str) -> None:
        """Args: primary_protocol: the one whose tests were chosen beforehand."""
        self._primary_protocol = primary_protocol
        self._values: dict[Place, dict[str, dict[str, list[float]]]] = {}
        self._units: dict[Place, str] = {}

    def add(self, row: Row) -> None:
        """Takes in one line; infinite and missing values are left out of means and tests."""
        place = Place(row.protocol, row.intensity, row.region, row.metric)
        self._units.setdefault(place, row.unit)
        patients = self._values.setdefault(place, {}).setdefault(row.method, {})
        if np.isfinite(row.value):
            patients.setdefault(row.patient, []).append(row.value)

    def summarize(self) -> list[SummaryRow]:
        """Returns one row per place and method, in the order of first appearance."""
        return [
            _summary(place, method, self._units[place], _patient_means(patients))
            for place, methods in self._values.items()
            for method, patients in methods.items()
        ]

    def compare(self) -> list[Comparison]:
        """Returns the tests of the synthetic image against each opponent, adjusted for their number.

        Holm's adjustment holds the probability of a false star at 5 % within a family, not over the page. There is
        one primary family: MAE, PSNR and SSIM in the mask by the primary protocol, as written, against every
        opponent. All other tests are exploratory, in families of one protocol and one intensity, the three leading
        metrics apart from the rest. With fewer than three patients no test is run and the note says so.
        """
        tests = [
            _compare(place, _patient_means(methods[OURS]), _patient_means(methods[other]), other)
            for place, methods in self._values.items()
            for other in OPPONENTS
            if OURS in methods and other in methods
        ]
        return _adjusted(tests, self._primary_protocol)


def is_leading(region: str, metric: str) -> bool:
    """Tells whether a figure is MAE, PSNR or SSIM in the whole mask.

    Adjusting these few for dozens of other tests as well would leave small studies unable to show anything.
    """
    return region == PRIMARY_REGION and metric in PRIMARY_METRICS


def to_json(rows: Sequence[SummaryRow] | Sequence[Comparison]) -> list[dict[str, Any]]:
    """Returns the rows as plain values; what is not finite becomes null."""
    return [{key: _plain(value) for key, value in asdict(row).items()} for row in rows]


def _patient_means(patients: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {patient: float(np.mean(values)) for patient, values in patients.items()}


def _summary(place: Place, method: str, unit: str, patients: Mapping[str, float]) -> SummaryRow:
    values = np.array(list(patients.values()))
    n = values.size
    interval = mean_interval(values) if n >= MINIMUM_PATIENTS else None
    return SummaryRow(
        protocol=place.protocol,
        intensity=place.intensity,
        region=place.region,
        method=method,
        metric=place.metric,
        unit=unit,
        n=n,
        mean=float(values.mean()) if n else None,
        sd=float(values.std(ddof=1)) if n > 1 else None,
        median=float(np.median(values)) if n else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        interval=interval.method if interval else "",
    )


def _compare(place: Place, ours: Mapping[str, float], theirs: Mapping[str, float], other: str) -> Comparison:
    patients = [patient for patient in ours if patient in theirs]
    n = len(patients)
    result = Comparison(*place, first=OURS, second=other, n=n)
    if n == 0:
        return replace(result, note="no patient has both; no test is run")
    first = np.array([ours[patient] for patient in patients])
    second = np.array([theirs[patient] for patient in patients])
    result = replace(result, mean_difference=float((first - second).mean()))
    if n < MINIMUM_PATIENTS:
        return replace(result, note=f"{patients_of(n)}; no test is run below {MINIMUM_PATIENTS}")
    interval = mean_interval(first - second)
    return replace(
        result,
        ci_low=interval.low,
        ci_high=interval.high,
        interval=interval.method,
        p_t=paired_t(first, second).p,
        p_wilcoxon=wilcoxon(first, second).p,
        p_permutation=sign_flip(first, second).p,
        effect_size=cohen_dz(first, second),
        note=_power_note(n),
    )


def patients_of(count: int) -> str:
    """Returns the number with its noun."""
    return f"{count} patient{'' if count == 1 else 's'}"


def _power_note(n: int) -> str:
    least = 2.0 / 2**n
    return f"with {n} patients no permutation p below {least:.3g} is possible" if least > ALPHA else ""


def _adjusted(tests: Sequence[Comparison], primary_protocol: str) -> list[Comparison]:
    families: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for index, test in enumerate(tests):
        if test.p_permutation is not None:
            families[test.protocol, test.intensity, is_leading(test.region, test.metric)].append(index)
    result = list(tests)
    for place, members in families.items():
        family = PRIMARY if place == (primary_protocol, AS_WRITTEN, True) else EXPLORATORY
        p_adjusted = holm([result[index].p_permutation or 0.0 for index in members])
        for index, p in zip(members, p_adjusted, strict=True):
            result[index] = replace(result[index], p_adjusted=float(p), comparisons=len(members), family=family)
    return result


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
