"""What a model was trained on, in numbers that a new scan is compared with before it is translated.

A scan is described by the distribution of its intensities, by the shape of what is shown, and by which parts of it are
bright and dark, all relative to the median of its absolute values. Each number of the first two is compared with its
mean and spread over the training scans; with few scans the spread leans on a usual one, and the distance is the root
mean square. The pattern of bright and dark is compared by its correlation with the mean pattern, which no gain and no
lesion moves much. How far a scan is away is the largest of the three, each over what leaving every training scan out in
turn shows to be normal.

A scan may also look as a target does: T1 without contrast agent where the model takes it away. That is told by the one
quantile of the intensities that parts sources and targets best, where any does, and flagged, never refused: some heads
enhance hardly at all.

Nothing here knows what a brain, a contrast or a gadolinium agent is: a scan of another contrast, another organ, or one
that lies upside down is far away because it looks different from what the model has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxlate.volume import Array, Mask

Numbers = NDArray[np.float64]
Verdict = Literal["known", "unusual", "unknown"]

QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
CELLS, FINE_CELLS = (5, 6, 5), (14, 17, 14)
USUAL_SPREAD = {"intensities": 0.12, "shape": 0.12}
USUAL_UNLIKENESS = 0.15
USUAL_WEIGHT = 6.0
"""Training scans that the usual spread counts as."""

UNUSUAL_FROM, UNKNOWN_FROM = 1.0, 1.5
"""Of the farthest training scan that was left out: from here a scan is flagged, from there it is refused."""

FLAGGED_AT_MOST = 1.4
"""What looks like a target is flagged and not refused."""

LEAST_SCANS = 5
"""Nothing is refused on the word of fewer training scans."""

LEAST_NORMAL, MOST_NORMAL = 1.0, 2.0
"""The farthest training scan counts as normal, but no nearer than the one and no farther than so many medians."""

LEAST_APART = 1.2
"""Medians of a quantile of sources and targets, over the root of the sum of their variances, from which it is used."""

LEAST_LOG_SPREAD, LEAST_QUANTILE = 0.03, 0.05
BODY = 0.95

WORDS = {
    "intensities": "the distribution of its intensities",
    "shape": "the shape of what it shows",
    "pattern": "which parts are bright and dark",
}


@dataclass(frozen=True)
class Distance:
    """How far a scan is from what a model knows.

    Attributes:
        score: 1 is as far as the farthest training scan from all others.
        verdict: `known`, `unusual` or `unknown`.
        by: the score of each of the three descriptions.
    """

    score: float
    verdict: Verdict
    by: dict[str, float]

    @property
    def reason(self) -> str:
        """Returns in words what is most unlike the training scans."""
        worst = max(self.by, key=lambda name: self.by[name])
        if worst == "target":
            return "it looks as what the model makes does, not as what it takes"
        times = f"{self.score:.1f} times as far from the training scans as these are from each other"
        return f"{WORDS[worst]} is {times}"


@dataclass(frozen=True)
class TargetLine:
    """What parts sources from targets: one quantile, by its logarithm.

    Attributes:
        quantile: index in `QUANTILES`.
        is_relative: whether it is taken over the quantile `BODY`, where little but vessels and lesions lies above.
        source: its median over the sources.
        threshold: where both are equally likely, between the medians.
    """

    quantile: int
    is_relative: bool
    source: float
    threshold: float

    def nearness(self, intensities: Numbers) -> float:
        """Returns 0 for what is as the usual source or farther from targets, 1 at the threshold, more beyond it."""
        column = self.quantile + self.is_relative * len(QUANTILES)
        value = float(_target_features(intensities[None])[0, column])
        return max(0.0, (self.source - value) / (self.source - self.threshold))


@dataclass(frozen=True)
class Known:
    """Mean and spread of each description over the training scans.

    Attributes:
        mean: by the names in `WORDS`.
        spread: of the first two.
        normal: the distance, by the same names, of the farthest training scan when it is left out.
        n: training scans.
        target: what parts them from targets, or None when nothing does or there are too few.
    """

    mean: Mapping[str, Numbers]
    spread: Mapping[str, Numbers]
    normal: Mapping[str, float]
    n: int
    target: TargetLine | None = None

    def distance(self, description: Mapping[str, Numbers]) -> Distance:
        """Returns how far a scan is away."""
        by = {name: self._far(description, name) / self.normal[name] for name in WORDS}
        if self.target is not None:
            by["target"] = min(self.target.nearness(description["intensities"]), FLAGGED_AT_MOST)
        score = max(by.values())
        is_unknown = score >= UNKNOWN_FROM and self.n >= LEAST_SCANS
        verdict: Verdict = "unknown" if is_unknown else "unusual" if score > UNUSUAL_FROM else "known"
        return Distance(score, verdict, by)

    def _far(self, description: Mapping[str, Numbers], name: str) -> float:
        if name == "pattern":
            return _unlikeness(description[name], self.mean[name]) / USUAL_UNLIKENESS
        z = (description[name] - self.mean[name]) / self.spread[name]
        return float(np.sqrt(np.mean(z**2)))

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, rounded; what is not known is null."""
        tables = {"mean": self.mean, "spread": self.spread}
        content: dict[str, Any] = {
            key: {name: [None if np.isnan(v) else round(float(v), 4) for v in each] for name, each in table.items()}
            for key, table in tables.items()
        }
        target = None if self.target is None else asdict(self.target)
        return content | {"normal": dict(self.normal), "n": self.n, "target": target}


def known_from_json(content: Mapping[str, Any]) -> Known:
    """Returns what `Known.to_json` gave."""
    mean, spread = (
        {name: np.array([np.nan if v is None else v for v in each]) for name, each in content[key].items()}
        for key in ("mean", "spread")
    )
    target = content.get("target")
    line = None if target is None else TargetLine(**target)
    return Known(mean, spread, dict(content["normal"]), int(content["n"]), line)


def describe(image: Array, mask: Mask) -> dict[str, Numbers]:
    """Returns the description of a prepared scan.

    Args:
        image: (i, j, k), right, anterior, superior, in whatever units.
        mask: the same shape; not empty.

    Returns:
        `intensities`: quantiles in the mask over the median absolute value; `shape`: the share of each cell of a coarse
        grid over the box of the mask that is in it; `pattern`: the mean of each cell over that median, NaN where little
        of it is in.
    """
    values = image[mask]
    unit = float(np.median(np.abs(values))) or 1.0  # the median would be near zero for a scale that subtracts it
    box = tuple(slice(int(np.flatnonzero(line).min()), int(np.flatnonzero(line).max()) + 1) for line in _lines(mask))
    inside, shown = mask[box].astype(np.float64), np.where(mask[box], image[box], 0).astype(np.float64)
    share, mean = _cells(inside, FINE_CELLS), _cells(shown, FINE_CELLS)
    with np.errstate(invalid="ignore", divide="ignore"):
        pattern = np.where(share > 0.5, mean / share / unit, np.nan)
    return {
        "intensities": intensities_of(values),
        "shape": _cells(inside, CELLS).ravel(),
        "pattern": pattern.ravel(),
    }


def intensities_of(values: Array) -> Numbers:
    """Returns the quantiles of the values in a mask, (n,), over their median absolute value."""
    return np.asarray(np.quantile(values, QUANTILES) / (float(np.median(np.abs(values))) or 1.0))


def fit_target(sources: Sequence[Numbers], targets: Sequence[Numbers]) -> TargetLine | None:
    """Returns what parts sources from targets, both as `intensities_of` gives them, or None.

    Medians and median deviations are used: single heads with blood in them are bright without an agent.
    """
    if min(len(sources), len(targets)) < LEAST_SCANS:
        return None
    features = [_target_features(np.array(rows)) for rows in (sources, targets)]
    medians = [np.median(rows, axis=0) for rows in features]
    spreads = [
        np.hypot(1.4826 * np.median(np.abs(rows - median), axis=0), LEAST_LOG_SPREAD)
        for rows, median in zip(features, medians, strict=True)
    ]
    apart = np.abs(medians[0] - medians[1]) / np.hypot(*spreads)
    k = int(apart.argmax())
    if apart[k] < LEAST_APART:
        return None
    source, target = float(medians[0][k]), float(medians[1][k])
    places = np.linspace(target, source, 1001)
    of_source, of_target = (
        -0.5 * ((places - median[k]) / spread[k]) ** 2 - np.log(spread[k])
        for median, spread in zip(medians, spreads, strict=True)
    )
    crossing = int(np.argmax(of_source >= of_target))
    is_relative, quantile = divmod(k, len(QUANTILES))
    return TargetLine(quantile, bool(is_relative), source, float(places[min(max(crossing, 1), 999)]))


def _target_features(intensities: Numbers) -> Numbers:
    """Returns the logarithms of quantiles, (n, q), and of the same over the quantile `BODY`, (n, 2 q) together."""
    logs = np.log(np.maximum(intensities, LEAST_QUANTILE))
    return np.concatenate([logs, logs - logs[:, [QUANTILES.index(BODY)]]], axis=1)


def fit_known(descriptions: Sequence[Mapping[str, Numbers]], targets: Sequence[Numbers] = ()) -> Known:
    """Returns what is known after seeing some scans, at least one.

    Args:
        descriptions: of the sources.
        targets: `intensities_of` their targets, where there are any.
    """
    mean, spread = _moments(descriptions)
    normal = dict.fromkeys(WORDS, 2 * LEAST_NORMAL)
    if len(descriptions) > 2:
        left_out = [
            {name: Known(*_moments(_without(descriptions, k)), normal, 0)._far(each, name) for name in WORDS}
            for k, each in enumerate(descriptions)
        ]
        normal = {name: _normal([far[name] for far in left_out]) for name in WORDS}
    line = fit_target([each["intensities"] for each in descriptions], targets)
    return Known(mean, spread, normal, len(descriptions), line)


def _normal(far: Sequence[float]) -> float:
    return max(LEAST_NORMAL, min(max(far), MOST_NORMAL * float(np.median(far))))


def _unlikeness(pattern: Numbers, mean: Numbers) -> float:
    """Returns one less the correlation of two patterns where both are known; infinite where they hardly overlap."""
    both = np.isfinite(pattern) & np.isfinite(mean)
    if both.sum() < 0.25 * np.isfinite(mean).sum() or both.sum() < 3:
        return float("inf")
    first, second = pattern[both], mean[both]
    if first.std() == 0 or second.std() == 0:
        return 1.0
    return 1.0 - float(np.corrcoef(first, second)[0, 1])


def _without(descriptions: Sequence[Mapping[str, Numbers]], k: int) -> list[Mapping[str, Numbers]]:
    return [each for index, each in enumerate(descriptions) if index != k]


def _moments(descriptions: Sequence[Mapping[str, Numbers]]) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
    mean, spread = {}, {}
    for name in WORDS:
        rows = np.array([each[name] for each in descriptions])
        seen = np.isfinite(rows).sum(axis=0)
        sums = np.where(np.isfinite(rows), rows, 0).sum(axis=0)
        mean[name] = np.where(seen * 2 > len(rows), sums / np.maximum(seen, 1), np.nan)
        if name in USUAL_SPREAD:
            squares = ((rows - mean[name]) ** 2).sum(axis=0) + USUAL_WEIGHT * USUAL_SPREAD[name] ** 2
            spread[name] = np.sqrt(squares / (len(rows) - 1 + USUAL_WEIGHT))
    return mean, spread


def _lines(mask: Mask) -> list[NDArray[np.bool_]]:
    return [np.asarray(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]


def _cells(array: Numbers, counts: tuple[int, ...]) -> Numbers:
    """Returns the means over a grid, whatever the size."""
    for axis, count in enumerate(counts):
        edges = np.linspace(0, array.shape[axis], count + 1)
        sums = np.concatenate([np.zeros_like(np.take(array, [0], axis)), np.cumsum(array, axis=axis)], axis=axis)
        at = [_between(sums, edge, axis) for edge in edges]
        array = np.stack([(after - before) / edges[1] for before, after in pairwise(at)], axis=axis)
    return array


def _between(sums: Numbers, place: float, axis: int) -> Numbers:
    low = int(np.floor(place))
    part = place - low
    first = np.take(sums, low, axis)
    return np.asarray(first if part == 0 else (1 - part) * first + part * np.take(sums, low + 1, axis))
