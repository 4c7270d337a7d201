"""Means over patients and paired tests between methods, from the score of every case.

Scans of one patient are averaged first, so that a patient counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.protocols import AS_WRITTEN, SLICE_COUNT, SLICE_SD
from voxlate.evaluation.schema.results import Comparison, ScoreRow, SummaryRow
from voxlate.evaluation.statistics import (
    MINIMUM_PATIENTS,
    cohen_dz,
    holm,
    least_p,
    mean_interval,
    paired_t,
    sign_flip,
    wilcoxon,
)
from voxlate.evaluation.statistics.samples import Values

OURS = "synthetic"
OPPONENTS = ("source", "histogram_match")
"""Methods that the synthetic image is tested against. The blurred target is made from the target itself, so it is not a
method to compare with; a constant needs no test."""

ALPHA = 0.05
"""The usual significance level."""

PRIMARY_REGION = "mask"
PRIMARY_METRICS = ("mae", "psnr", "ssim")


class MetricKey(NamedTuple):
    """Protocol, intensity, region and metric: scores of two methods are compared only where all four are equal."""

    protocol: str
    intensity: str
    region: str
    metric: str


class ScoreTable:
    """Scores of a run, kept as numbers by metric and method, so that thousands of cases need little memory."""

    def __init__(self, primary_protocol: str) -> None:
        """Args: primary_protocol: name of the protocol whose tests were chosen before the data were seen."""
        self._primary_protocol = primary_protocol
        self._values: dict[MetricKey, dict[str, dict[str, float]]] = {}
        self._units: dict[MetricKey, str] = {}
        self._patients: dict[str, str] = {}

    def add(self, row: ScoreRow) -> None:
        """Adds one score; infinite and missing values are left out of means and tests."""
        key = MetricKey(row.protocol, row.intensity, row.region, row.metric)
        self._units.setdefault(key, row.unit)
        cases = self._values.setdefault(key, {}).setdefault(row.method, {})
        self._patients[row.case] = row.patient
        if np.isfinite(row.value):
            cases[row.case] = row.value

    def measured(self) -> list[MetricKey]:
        """Returns what was measured, in the order of first appearance; without numbers and spreads of slices."""
        return [key for key, _ in self._shown()]

    def _shown(self) -> list[tuple[MetricKey, dict[str, dict[str, float]]]]:
        return [(key, methods) for key, methods in self._values.items() if key.region not in (SLICE_COUNT, SLICE_SD)]

    def unit(self, key: MetricKey) -> str:
        """Returns the unit of a metric."""
        return self._units[key]

    def scores(self, key: MetricKey, method: str) -> Mapping[str, Sequence[float]]:
        """Returns the finite scores of a method, one per scan, by patient; none where nothing was measured."""
        return self._by_patient(self._values.get(key, {}).get(method, {}))

    def paired(self, key: MetricKey, first: str, second: str) -> tuple[Values, Values]:
        """Returns the patient means of two methods over the scans that both have, as two vectors in one order.

        A scan that one method lacks is left out of both means: a hard scan that only one has would count as a
        difference of the methods.
        """
        ours, theirs = (self._values.get(key, {}).get(name, {}) for name in (first, second))
        shared = [case for case in ours if case in theirs]
        one, other = (
            np.array(list(patient_means(self._by_patient({case: of[case] for case in shared})).values()))
            for of in (ours, theirs)
        )
        return one, other

    def _by_patient(self, cases: Mapping[str, float]) -> dict[str, list[float]]:
        scores: dict[str, list[float]] = {}
        for case, value in cases.items():
            scores.setdefault(self._patients[case], []).append(value)
        return scores

    def test(self, key: MetricKey, first: str, second: str) -> Comparison:
        """Returns the tests of two methods on the scans that both have, not adjusted for their number."""
        return _compare(key, (first, second), *self.paired(key, first, second))

    def summarize(self) -> list[SummaryRow]:
        """Returns one row per metric and method, in the order of first appearance."""
        return [
            _summary(key, method, self._units[key], self._by_patient(cases))
            for key, methods in self._shown()
            for method, cases in methods.items()
        ]

    def compare(self) -> list[Comparison]:
        """Returns the tests of the synthetic image against each opponent, adjusted for their number.

        Holm's adjustment keeps the probability of any false positive at 5 % within a family, not over the page. There
        is one primary family: MAE, PSNR and SSIM in the mask by the primary protocol, as written, against every
        opponent. All other tests are exploratory, in families of one protocol and one intensity, the three leading
        metrics apart from the rest. With fewer than three patients no test is run and the note says so.
        """
        tests = [
            self.test(key, OURS, other)
            for key, methods in self._shown()
            for other in OPPONENTS
            if OURS in methods and other in methods
        ]
        return _adjusted(tests, self._primary_protocol)


def is_leading_in_mask(region: str, metric: str) -> bool:
    """Returns whether a score is MAE, PSNR or SSIM in the whole mask.

    These few form families of their own: adjusted together with dozens of other tests, small studies could not show
    any difference.

    Args:
        region: where the score was measured.
        metric: name of the metric.
    """
    return region == PRIMARY_REGION and metric in PRIMARY_METRICS


def patients_of(count: int) -> str:
    """Returns the number with its noun: `1 patient`, `3 patients`."""
    return f"{count} patient{'' if count == 1 else 's'}"


def patient_means(patients: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Returns the mean of the scores of each patient."""
    return {patient: float(np.mean(values)) for patient, values in patients.items()}


def _summary(key: MetricKey, method: str, unit: str, patients: Mapping[str, Sequence[float]]) -> SummaryRow:
    values = np.array(list(patient_means(patients).values()))
    n = values.size
    interval = mean_interval(values) if n >= MINIMUM_PATIENTS else None
    return SummaryRow(
        protocol=key.protocol,
        intensity=key.intensity,
        region=key.region,
        method=method,
        metric=key.metric,
        unit=unit,
        n=n,
        mean=float(values.mean()) if n else None,
        sd=float(values.std(ddof=1)) if n > 1 else None,
        median=float(np.median(values)) if n else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        interval=interval.method if interval else "",
        mean_distance=_mean_distance(key.metric, patients),
    )


def _mean_distance(metric: str, patients: Mapping[str, Sequence[float]]) -> float | None:
    """Returns `SummaryRow.mean_distance`; distances of scans are averaged, so that two scans do not cancel either."""
    described = metric_of(metric)
    if described.better != "one" or not patients:
        return None
    return float(np.mean([np.mean([described.loss(value) for value in scans]) for scans in patients.values()]))


def _compare(key: MetricKey, names: tuple[str, str], first: Values, second: Values) -> Comparison:
    n = first.size
    if n == 0:
        return _untested(key, names, n, None, "no patient has both; no test is run")
    difference = float((first - second).mean())
    if n < MINIMUM_PATIENTS:
        return _untested(key, names, n, difference, f"{patients_of(n)}; no test is run below {MINIMUM_PATIENTS}")
    interval = mean_interval(first - second)
    return Comparison(
        **key._asdict(),
        first=names[0],
        second=names[1],
        n=n,
        mean_difference=difference,
        ci_low=interval.low,
        ci_high=interval.high,
        interval=interval.method,
        p_t=paired_t(first, second).p,
        p_wilcoxon=wilcoxon(first, second).p,
        p_permutation=sign_flip(first, second).p,
        p_adjusted=None,
        comparisons=0,
        effect_size=cohen_dz(first, second),
        note=_power_note(n),
    )


def _untested(key: MetricKey, names: tuple[str, str], n: int, difference: float | None, note: str) -> Comparison:
    return Comparison(
        **key._asdict(),
        first=names[0],
        second=names[1],
        n=n,
        mean_difference=difference,
        ci_low=None,
        ci_high=None,
        p_t=None,
        p_wilcoxon=None,
        p_permutation=None,
        p_adjusted=None,
        comparisons=0,
        effect_size=None,
        note=note,
    )


def _power_note(n: int) -> str:
    """Returns a remark when no permutation test of n patients can reach `ALPHA`."""
    least = least_p(n)
    return f"with {n} patients no permutation p below {least:.3g} is possible" if least > ALPHA else ""


def _adjusted(tests: Sequence[Comparison], primary_protocol: str) -> list[Comparison]:
    families: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for index, test in enumerate(tests):
        if test.p_permutation is not None:
            families[test.protocol, test.intensity, is_leading_in_mask(test.region, test.metric)].append(index)
    result = list(tests)
    for key, members in families.items():
        family = "primary" if key == (primary_protocol, AS_WRITTEN, True) else "exploratory"
        p_adjusted = holm([result[index].p_permutation or 0.0 for index in members])
        for index, p in zip(members, p_adjusted, strict=True):
            changes = {"p_adjusted": float(p), "comparisons": len(members), "family": family}
            result[index] = result[index].model_copy(update=changes)
    return result
