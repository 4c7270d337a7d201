"""Out-of-distribution detection: how far a scan is from the scans that a model was trained on.

A scan is described in three ways, all relative to the median of its absolute values in the mask, so that its gain does
not matter:

- `intensities`: quantiles of the intensities;
- `shape`: the share of each cell of a coarse grid over the bounding box that lies in the mask;
- `pattern`: the mean intensity of each cell of a finer grid.

The distance of the first two is the root mean square of z = (value - mean) / spread over their numbers, with mean and
spread from the training scans; with few scans the spread is drawn towards a prior one. The distance of the pattern is
1 - r, with r the correlation with the mean pattern, which no gain and no lesion changes much. Each distance is divided
by that of the farthest training scan when it is left out. The out-of-distribution score is the largest of the three:
1 is as far as the farthest training scan.

A scan may also look like a target: T1 without contrast agent, for a model that removes contrast agent. The one quantile
of the intensities that separates sources from targets best detects this, if any does. Such a scan is flagged and never
refused, as some heads hardly enhance.

Nothing here models a brain, a contrast or a contrast agent: a scan of another contrast or organ, or one that is upside
down, has a high score because it looks different from the training scans.

The thresholds were chosen by hand while looking at the scans of `benchmarks/bench_gate.py` (9 real patients, 6 of them
in training) and `benchmarks/bench_uncertainty.py` (simulated heads), so that the rates in
`docs/concepts/out-of-distribution.md` are optimistic. They were not tuned on separate scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxlate.io.log import text_above
from voxlate.volume import Array, Mask, box_of

Numbers = NDArray[np.float64]
Description = Mapping[str, Numbers]
"""`intensities` (11,), `shape` (150,) and `pattern` (3332,) of one scan; see `describe`."""

Verdict = Literal["known", "unusual", "unknown"]
"""In distribution, flagged, refused; these words are in the sidecars."""

QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
"""Dense at the bright end, where contrast agent shows; without the median, which is always near 1. Chosen by hand."""

SHAPE_GRID, PATTERN_GRID = (5, 6, 5), (14, 17, 14)
"""Cells over the bounding box of the mask, along right, anterior and superior.

On a brain of 150 x 180 x 150 mm they are cubes of 30 mm and of about 10.6 mm. Chosen by hand; not tuned.
"""

PRIOR_SPREAD = {"intensities": 0.12, "shape": 0.12}
"""Standard deviation of a number of the description before any scan is seen. Chosen by hand; not tuned."""

PRIOR_PATTERN_DISTANCE = 0.15
"""1 - r of the pattern is divided by this, to be on the scale of the other distances. Chosen by hand; not tuned."""

PRIOR_WEIGHT = 6.0
"""Training scans that `PRIOR_SPREAD` counts as.

With six training scans, as in `benchmarks/bench_gate.py`, prior and scans count about the same. Chosen by hand; not
tuned.
"""

FLAG_ABOVE, REFUSE_FROM = 1.0, 1.5
"""Scores: above the first a scan is flagged, from the second on it is refused.

1 is the farthest training scan. With 1.5 every head that is turned or upside down is refused, and no T1ce of another
patient is: these score 1.12 at most (`benchmarks/results/gate.json`). Chosen by hand on those scans.
"""

TARGET_SCORE_LIMIT = 1.4
"""Largest score for looking like a target: between `FLAG_ABOVE` and `REFUSE_FROM`, so that it refuses no scan."""

MIN_SCANS = 5
"""With fewer training scans nothing is refused and no target is detected. Chosen by hand; not tuned."""

MIN_NORMAL_DISTANCE, MAX_NORMAL_OVER_MEDIAN = 1.0, 2.0
"""Limits of the distance that counts as normal, which is that of the farthest training scan when it is left out.

It is at least 1, one standard deviation, so that nearly equal training scans do not make every other scan unusual. It
is at most twice the median over the training scans, so that one odd training scan does not let everything pass. Chosen
by hand; not tuned.
"""

MIN_SEPARATION = 1.2
"""A quantile detects targets from here: |median of sources - median of targets| / root of the sum of their variances.

Of two normal distributions of equal spread that far apart 20 % lie on the wrong side of the middle. Chosen by hand; not
tuned.
"""

MIN_LOG_SPREAD = 0.03
"""Added in quadrature to the spread of the logarithm of a quantile, against spreads of 0; chosen by hand, 3 %."""

MIN_QUANTILE = 0.05
"""Lower limit of a quantile before its logarithm is taken; scales that subtract a mean give negative quantiles."""

REFERENCE_QUANTILE = 0.95
"""Below it lies tissue, above it little but vessels and enhancing lesions; a bright quantile is also taken over it."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation, 1 / 0.6745."""

MOST_PATTERN_DISTANCE = 2.0
"""The largest value that 1 - r can have; a finite number, as a sidecar (JSON) cannot hold an infinite one."""

NAMES = {
    "intensities": "the distribution of its intensities",
    "shape": "the shape of its mask",
    "pattern": "its pattern of bright and dark parts",
}


@dataclass(frozen=True)
class OutOfDistributionScore:
    """How far a scan is from the training scans of a model; the fields are the keys of the `Gate` object in a sidecar.

    Attributes:
        score: the largest of `by`; 1 is as far as the farthest training scan.
        verdict: `known` (in distribution), `unusual` (flagged) or `unknown` (refused).
        by: the score of each description, and `target` where targets can be detected.
    """

    score: float
    verdict: Verdict
    by: dict[str, float]

    @property
    def reason(self) -> str:
        """Returns in words which description is farthest from the training scans."""
        worst = max(self.by, key=lambda name: self.by[name])
        if worst == "target":
            return "it looks like an image that the model makes, not like one that it takes"
        times = text_above(self.score, FLAG_ABOVE)
        return f"{NAMES[worst]} is {times} times as far from the training scans as these are from each other"


@dataclass(frozen=True)
class TargetDetector:
    """One quantile of the intensities that separates sources from targets, by its logarithm.

    Attributes:
        quantile: index in `QUANTILES`.
        is_relative: whether the quantile is divided by the quantile `REFERENCE_QUANTILE`.
        source: its median over the sources, a logarithm.
        threshold: where a source and a target are equally likely, between their medians, a logarithm.
    """

    quantile: int
    is_relative: bool
    source: float
    threshold: float

    def score(self, intensities: Numbers) -> float:
        """Returns 0 for the median source or a scan farther from targets, 1 at the threshold, more beyond it.

        Args:
            intensities: (11,), see `intensity_quantiles`.
        """
        column = self.quantile + self.is_relative * len(QUANTILES)
        value = float(_target_features(intensities[None])[0, column])
        return max(0.0, (self.source - value) / (self.source - self.threshold))


@dataclass(frozen=True)
class TrainingStatistics:
    """Mean and spread of each description over the training scans; the content of `known.json`.

    Attributes:
        mean: by the names in `NAMES`; NaN where at most half of the scans have a value.
        spread: standard deviations of `intensities` and `shape`.
        normal: the distance that scores 1, by the same names.
        n: training scans.
        target: detects targets; None when no quantile separates them or there are too few scans.
    """

    mean: Mapping[str, Numbers]
    spread: Mapping[str, Numbers]
    normal: Mapping[str, float]
    n: int
    target: TargetDetector | None = None

    def score(self, description: Description) -> OutOfDistributionScore:
        """Returns the out-of-distribution score of a scan."""
        by = {name: self.distance(description, name) / self.normal[name] for name in NAMES}
        if self.target is not None:
            by["target"] = min(self.target.score(description["intensities"]), TARGET_SCORE_LIMIT)
        score = max(by.values())
        is_refused = score >= REFUSE_FROM and self.n >= MIN_SCANS
        verdict: Verdict = "unknown" if is_refused else "unusual" if score > FLAG_ABOVE else "known"
        return OutOfDistributionScore(score, verdict, by)

    def distance(self, description: Description, name: str) -> float:
        """Returns the distance of one description from its mean; the largest for a pattern that hardly overlaps."""
        if name == "pattern":
            return _pattern_distance(description[name], self.mean[name]) / PRIOR_PATTERN_DISTANCE
        z = (description[name] - self.mean[name]) / self.spread[name]
        return float(np.sqrt(np.mean(z**2)))

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, rounded to four decimals; NaN is null."""
        tables = {"mean": self.mean, "spread": self.spread}
        content: dict[str, Any] = {
            key: {name: [None if np.isnan(v) else round(float(v), 4) for v in each] for name, each in table.items()}
            for key, table in tables.items()
        }
        target = None if self.target is None else asdict(self.target)
        return content | {"normal": dict(self.normal), "n": self.n, "target": target}


def training_statistics_from_json(content: Mapping[str, Any]) -> TrainingStatistics:
    """Returns the statistics that `TrainingStatistics.to_json` made plain."""
    mean, spread = (
        {name: np.array([np.nan if v is None else v for v in each]) for name, each in content[key].items()}
        for key in ("mean", "spread")
    )
    target = content.get("target")
    detector = None if target is None else TargetDetector(**target)
    return TrainingStatistics(mean, spread, dict(content["normal"]), int(content["n"]), detector)


def describe(image: Array, mask: Mask) -> dict[str, Numbers]:
    """Returns the description of a prepared scan.

    Args:
        image: (i, j, k), axes right, anterior, superior, in any units.
        mask: the same shape; not empty.

    Returns:
        `intensities`, (11,): quantiles in the mask over the median absolute value. `shape`, (150,): the share of each
        cell of `SHAPE_GRID` that lies in the mask. `pattern`, (3332,): the mean of each cell of `PATTERN_GRID` over the
        median absolute value, NaN where at most half of the cell lies in the mask.
    """
    values = image[mask]
    unit = float(np.median(np.abs(values))) or 1.0  # the median would be near zero for a scale that subtracts it
    box = box_of(mask)
    inside, shown = mask[box].astype(np.float64), np.where(mask[box], image[box], 0).astype(np.float64)
    share, mean = _cell_means(inside, PATTERN_GRID), _cell_means(shown, PATTERN_GRID)
    with np.errstate(invalid="ignore", divide="ignore"):
        pattern = np.where(share > 0.5, mean / share / unit, np.nan)
    return {
        "intensities": intensity_quantiles(values),
        "shape": _cell_means(inside, SHAPE_GRID).ravel(),
        "pattern": pattern.ravel(),
    }


def intensity_quantiles(values: Array) -> Numbers:
    """Returns the quantiles (11,) of the values (n,) in a mask over their median absolute value."""
    return np.asarray(np.quantile(values, QUANTILES) / (float(np.median(np.abs(values))) or 1.0))


def fit_target_detector(sources: Sequence[Numbers], targets: Sequence[Numbers]) -> TargetDetector | None:
    """Returns the quantile that separates sources from targets best, or None when no quantile does.

    Medians and median absolute deviations are used, since a single head with blood in it is bright without contrast
    agent. The threshold is where the densities of two normal distributions cross.

    Args:
        sources: `intensity_quantiles` of each training source.
        targets: the same of each training target.
    """
    if min(len(sources), len(targets)) < MIN_SCANS:
        return None
    features = [_target_features(np.array(rows)) for rows in (sources, targets)]
    medians = [np.median(rows, axis=0) for rows in features]
    spreads = [
        np.hypot(MAD_TO_SD * np.median(np.abs(rows - median), axis=0), MIN_LOG_SPREAD)
        for rows, median in zip(features, medians, strict=True)
    ]
    separation = np.abs(medians[0] - medians[1]) / np.hypot(*spreads)
    k = int(separation.argmax())
    if separation[k] < MIN_SEPARATION:
        return None
    source, target = float(medians[0][k]), float(medians[1][k])
    values = np.linspace(target, source, 1001)  # steps of a thousandth of the difference find the crossing well enough
    source_density, target_density = (
        -0.5 * ((values - median[k]) / spread[k]) ** 2 - np.log(spread[k])
        for median, spread in zip(medians, spreads, strict=True)
    )
    crossing = int(np.argmax(source_density >= target_density))
    is_relative, quantile = divmod(k, len(QUANTILES))
    # Never an end of the range: at the median of the sources the score would divide by zero.
    return TargetDetector(quantile, bool(is_relative), source, float(values[min(max(crossing, 1), 999)]))


def _target_features(intensities: Numbers) -> Numbers:
    """Returns the logarithms of quantiles and of the same over `REFERENCE_QUANTILE`: (n, 11) to (n, 22)."""
    logs = np.log(np.maximum(intensities, MIN_QUANTILE))
    return np.concatenate([logs, logs - logs[:, [QUANTILES.index(REFERENCE_QUANTILE)]]], axis=1)


def fit_training_statistics(descriptions: Sequence[Description], targets: Sequence[Numbers] = ()) -> TrainingStatistics:
    """Returns the statistics of some training scans.

    Args:
        descriptions: of the sources, at least one.
        targets: `intensity_quantiles` of the targets, where there are any.
    """
    mean, spread = _moments(descriptions)
    # With one or two scans too few remain when one is left out.
    normal = dict.fromkeys(NAMES, 2 * MIN_NORMAL_DISTANCE)
    if len(descriptions) > 2:
        left_out = [
            {name: TrainingStatistics(*_moments(others), normal, 0).distance(each, name) for name in NAMES}
            for each, others in zip(descriptions, _leave_one_out(descriptions), strict=True)
        ]
        normal = {name: _normal_distance([distances[name] for distances in left_out]) for name in NAMES}
    detector = fit_target_detector([each["intensities"] for each in descriptions], targets)
    return TrainingStatistics(mean, spread, normal, len(descriptions), detector)


def _normal_distance(distances: Sequence[float]) -> float:
    """Returns the largest of the left-out distances within `MIN_NORMAL_DISTANCE` and `MAX_NORMAL_OVER_MEDIAN`."""
    return max(MIN_NORMAL_DISTANCE, min(max(distances), MAX_NORMAL_OVER_MEDIAN * float(np.median(distances))))


def _pattern_distance(pattern: Numbers, mean: Numbers) -> float:
    """Returns 1 - r of two patterns over the cells that both have.

    The largest value when these are fewer than three, which always correlate, or than a quarter of the cells of the
    mean pattern (chosen by hand): such a scan shows another part of the body.
    """
    both = np.isfinite(pattern) & np.isfinite(mean)
    if both.sum() < 0.25 * np.isfinite(mean).sum() or both.sum() < 3:
        return MOST_PATTERN_DISTANCE
    first, second = pattern[both], mean[both]
    if first.std() == 0 or second.std() == 0:
        return 1.0
    return 1.0 - float(np.corrcoef(first, second)[0, 1])


def _leave_one_out(descriptions: Sequence[Description]) -> list[list[Description]]:
    """Returns for each description the list of all others."""
    return [[*descriptions[:k], *descriptions[k + 1 :]] for k in range(len(descriptions))]


def _moments(descriptions: Sequence[Description]) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
    """Returns mean and spread by name; the variance is a weighted mean of the scans' variance and the prior one."""
    mean, spread = {}, {}
    for name in NAMES:
        rows = np.array([each[name] for each in descriptions])
        seen = np.isfinite(rows).sum(axis=0)
        sums = np.where(np.isfinite(rows), rows, 0).sum(axis=0)
        mean[name] = np.where(seen * 2 > len(rows), sums / np.maximum(seen, 1), np.nan)
        if name in PRIOR_SPREAD:
            squares = ((rows - mean[name]) ** 2).sum(axis=0) + PRIOR_WEIGHT * PRIOR_SPREAD[name] ** 2
            spread[name] = np.sqrt(squares / (len(rows) - 1 + PRIOR_WEIGHT))
    return mean, spread


def _cell_means(array: Numbers, grid: tuple[int, ...]) -> Numbers:
    """Returns the mean of each cell of a grid over a volume, (i, j, k) to `grid`; cells may cut voxels."""
    for axis, count in enumerate(grid):
        edges = np.linspace(0, array.shape[axis], count + 1)
        sums = np.concatenate([np.zeros_like(np.take(array, [0], axis)), np.cumsum(array, axis=axis)], axis=axis)
        at = [_interpolated(sums, edge, axis) for edge in edges]
        array = np.stack([(after - before) / edges[1] for before, after in pairwise(at)], axis=axis)
    return array


def _interpolated(sums: Numbers, position: float, axis: int) -> Numbers:
    """Returns the slice of `sums` at a position along an axis, interpolated between the two nearest."""
    low = int(np.floor(position))
    part = position - low
    first = np.take(sums, low, axis)
    return np.asarray(first if part == 0 else (1 - part) * first + part * np.take(sums, low + 1, axis))
